/** TLS and logins against the listeners of a real Kafka, and what is said when they do not fit. */
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type KafkaService, startKafka } from '../../../dev/services/index.ts'
import type { AssignedPartition } from '../../../src/core/source.ts'
import { createKafkaClient } from '../../../src/kafka/kafkaClient.ts'
import type { KafkaSettings } from '../../../src/kafka/settings.ts'
import { readRecords } from '../../contracts/sourceClient.ts'
import { createTopic } from '../../support/topics.ts'

let service: KafkaService
let secure: NonNullable<KafkaService['secure']>
let groups = 0

beforeAll(async () => {
  service = await startKafka({ secure: true })
  if (service.secure === undefined) throw new Error('the broker has no secure listeners')
  secure = service.secure
  const kafka = new Kafka({ brokers: service.brokers, logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  const producer = kafka.producer()
  await Promise.all([admin.connect(), producer.connect()])
  await createTopic(admin, { topic: 'secrets', numPartitions: 1 })
  await producer.send({ topic: 'secrets', messages: [{ value: 'a secret' }] })
  await Promise.all([admin.disconnect(), producer.disconnect()])
}, 120_000)

afterAll(() => service?.stop())

type Access = Omit<KafkaSettings, 'groupId'>

/** What a client with these settings reads; fails as its start fails. */
async function read(access: Access): Promise<(string | null)[]> {
  const client = createKafkaClient({ connectTimeoutMs: 5_000, ...access, groupId: `g${groups++}` })
  try {
    const partition = await new Promise<AssignedPartition>((resolve, reject) => {
      client.start(['secrets'], ({ partitions: [first] }) => first && resolve(first), reject).catch(reject)
    })
    return (await readRecords(partition, 0, 1)).map(({ value }) => value)
  } finally {
    await client.stop(5_000)
  }
}

const login = (mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512') => ({
  mechanism,
  username: secure.username,
  password: secure.password,
})

describe('the Kafka client reads', () => {
  it('over TLS', async () => {
    expect(await read({ brokers: secure.ssl, ssl: { ca: secure.ca } })).toEqual(['a secret'])
  })

  it('over TLS with a certificate of its own', async () => {
    const { ca, cert, key } = secure
    expect(await read({ brokers: secure.ssl, ssl: { ca, cert, key } })).toEqual(['a secret'])
  })

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('with a login by %s', async (mechanism) => {
    expect(await read({ brokers: secure.saslPlaintext, sasl: login(mechanism) })).toEqual(['a secret'])
    const both: Access = { brokers: secure.saslSsl, ssl: { ca: secure.ca }, sasl: login(mechanism) }
    expect(await read(both)).toEqual(['a secret'])
  })
})

describe('the Kafka client names', () => {
  it('a certificate that nobody vouches for', async () => {
    await expect(read({ brokers: secure.ssl, ssl: true })).rejects.toThrow(
      /not signed by an authority known here[\s\S]*MR-KAFKA-TLS/,
    )
  })

  it('a certificate for another host', async () => {
    const ssl = { ca: secure.ca, servername: 'kafka.example.org' }
    await expect(read({ brokers: secure.ssl, ssl })).rejects.toThrow(/is for another name[\s\S]*MR-KAFKA-TLS/)
  })

  it('a TLS listener that is spoken to without TLS, with and without a login', async () => {
    await expect(read({ brokers: secure.ssl })).rejects.toThrow(
      /speaks TLS, and this client does not[\s\S]*MR-KAFKA-TLS/,
    )
    await expect(read({ brokers: secure.saslSsl, sasl: login('plain') })).rejects.toThrow('MR-KAFKA-TLS')
  })

  it('a listener without TLS that is spoken to in TLS', async () => {
    await expect(read({ brokers: service.brokers, ssl: { ca: secure.ca } })).rejects.toThrow(
      /broke off the TLS handshake/,
    )
  })

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
    'a wrong password or user, by %s',
    async (mechanism) => {
      const brokers = secure.saslPlaintext
      for (const wrong of [{ password: 'wrong' }, { username: 'nobody' }]) {
        const failure = read({ brokers, sasl: { ...login(mechanism), ...wrong } })
        await expect(failure).rejects.toThrow(/refused the login of[\s\S]*MR-KAFKA-SASL/)
      }
    },
  )

  it('a missing login, and one that nobody asked for', async () => {
    await expect(read({ brokers: secure.saslPlaintext })).rejects.toThrow(
      /closed the connection after its first answer[\s\S]*MR-KAFKA-SASL/,
    )
    await expect(read({ brokers: service.brokers, sasl: login('plain') })).rejects.toThrow(
      /expects no login[\s\S]*MR-KAFKA-SASL/,
    )
  })
})
