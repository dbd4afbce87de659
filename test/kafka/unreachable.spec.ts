import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createKafkaClient } from '../../src/kafka/kafkaClient.ts'
import type { KafkaSettings } from '../../src/kafka/settings.ts'

const servers: Server[] = []
const sockets = new Set<Socket>()

/** A port of this machine on which something listens that is no Kafka. */
async function listen(onSocket: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A port on which nothing listens: one that was free a moment ago. */
async function closedPort(): Promise<string> {
  const address = await listen(() => {})
  const server = servers.pop()
  server?.close()
  if (server) await once(server, 'close')
  return address
}

afterEach(() => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers.splice(0)) server.close()
})

const client = (brokers: string[], settings: Partial<KafkaSettings> = {}) =>
  createKafkaClient({ brokers, groupId: 'g', connectTimeoutMs: 600, ...settings })
const nobody = (): void => {}

async function failureOf(brokers: string[], settings?: Partial<KafkaSettings>): Promise<Error & { code: string }> {
  const one = client(brokers, settings)
  const failure = await one.start(['t'], nobody, nobody).then(
    () => new Error('it started'),
    (error: Error) => error,
  )
  await one.stop(1_000)
  return failure as Error & { code: string }
}

describe('a Kafka client that reaches no Kafka', () => {
  it('names every broker where nothing listens, and what to check', async () => {
    const brokers = [await closedPort(), await closedPort()]
    const { code, message } = await failureOf(brokers)
    expect(code).toBe('MR-KAFKA-UNREACHABLE')
    for (const broker of brokers) expect(message).toContain(`${broker}: nothing listens there (ECONNREFUSED)`)
    expect(message).toMatch(/Is it up\?.*advertised\.listeners.*TLS.*login/s)
  })

  it('names a host that does not exist', async () => {
    const { code, message } = await failureOf(['no-such-host.invalid:9092'])
    expect(code).toBe('MR-KAFKA-UNREACHABLE')
    expect(message).toMatch(/no-such-host\.invalid:9092: the name cannot be resolved/)
  })

  it('does not wait for ever for something that takes connections and never answers', async () => {
    const broker = await listen(() => {})
    const { code, message } = await failureOf([broker])
    expect(code).toBe('MR-KAFKA-UNREACHABLE')
    expect(message).toContain(broker)
  })

  it('says that TLS is wanted when a broker answers with a TLS alert', async () => {
    const broker = await listen((socket) =>
      socket.once('data', () => socket.write(Buffer.from([0x15, 3, 3, 0, 2, 2, 80]))),
    )
    const { code, message } = await failureOf([broker])
    expect(code).toBe('MR-KAFKA-TLS')
    expect(message).toContain(`the broker at ${broker} speaks TLS`)
  })

  it('says that TLS is not wanted when a broker breaks off the handshake', async () => {
    const broker = await listen((socket) => socket.once('data', () => socket.destroy()))
    const { code, message } = await failureOf([broker], { ssl: true })
    expect(code).toBe('MR-KAFKA-TLS')
    expect(message).toContain(`${broker} broke off the TLS handshake`)
  })

  it('names a server that speaks something else', async () => {
    const broker = await listen((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
    expect((await failureOf([broker])).code).toMatch(/^MR-KAFKA-/)
  })

  it('stops within the deadline, also in the middle of a start that hangs', async () => {
    const broker = await listen(() => {})
    const one = client([broker], { connectTimeoutMs: 60_000 })
    const starting = one.start(['t'], nobody, nobody)
    await new Promise((resolve) => servers[0]?.once('connection', resolve))
    await one.stop(200)
    await starting
    expect(sockets.size === 0 || (await Promise.all([...sockets].map((socket) => once(socket, 'close'))))).toBeTruthy()
  })

  it('answers questions with an error after it was stopped, and cannot be started', async () => {
    const one = client([await closedPort()])
    await one.stop(100)
    await expect(one.committedOffset({ topic: 't', partition: 0 })).rejects.toThrow('MR-KAFKA-STOPPED')
    await one.start(['t'], nobody, nobody)
    await expect(one.start(['t'], nobody, nobody)).rejects.toThrow('started twice')
  })
})
