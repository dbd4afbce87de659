/** The files that a Kafka node of one machine is started with. */
import { randomBytes } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lastLines, run } from './run.ts'
import { ServiceError } from './serviceError.ts'

/** How to log in to the listeners that ask for more than a connection. */
export interface KafkaCredentials {
  readonly username: string
  readonly password: string
  /** The certificate of the broker, which signed itself. PEM. */
  readonly ca: string
  /** A client's certificate and key, known to the broker, which asks for it but does not insist. PEM. */
  readonly cert: string
  readonly key: string
}

/** A listener name, its port and, derived from the name, its protocol. */
export type ListenerName = 'PLAINTEXT' | 'CONTROLLER' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'

export type ListenerPorts = Readonly<Partial<Record<ListenerName, number>>>

/** The properties of one node that is broker and controller; nothing is replicated. */
export function serverProperties(
  folder: string,
  ports: ListenerPorts,
  credentials: KafkaCredentials | undefined,
): string {
  const listeners = Object.entries(ports).map(([name, port]) => `${name}://127.0.0.1:${port}`)
  const advertised = listeners.filter((listener) => !listener.startsWith('CONTROLLER'))
  return properties({
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${ports.CONTROLLER}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    listeners: listeners.join(','),
    'advertised.listeners': advertised.join(','),
    'listener.security.protocol.map': Object.keys(ports)
      .map((name) => `${name}:${name === 'CONTROLLER' ? 'PLAINTEXT' : name}`)
      .join(','),
    'log.dirs': join(folder, 'data'),
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '8',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '8',
    // A topic that nobody created has to be an error, as it is in production.
    'auto.create.topics.enable': 'false',
    // Groups form at once, and tests may lose a member sooner than in the 6 s that brokers allow.
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    // A broker that was killed may come back only when its former self has expired, after 9 s by default.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    'log.retention.ms': '-1',
    ...(credentials === undefined ? {} : secureProperties(folder, credentials)),
  })
}

function secureProperties(folder: string, { username, password }: KafkaCredentials): Record<string, string> {
  const all: Record<string, string> = {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': join(folder, 'server.pem'),
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': join(folder, 'client-cert.pem'),
    'ssl.client.auth': 'requested',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
  }
  for (const listener of ['sasl_plaintext', 'sasl_ssl']) {
    const prefix = `listener.name.${listener}`
    const modules = 'org.apache.kafka.common.security'
    all[`${prefix}.plain.sasl.jaas.config`] =
      `${modules}.plain.PlainLoginModule required user_${username}="${password}";`
    for (const scram of ['scram-sha-256', 'scram-sha-512']) {
      all[`${prefix}.${scram}.sasl.jaas.config`] = `${modules}.scram.ScramLoginModule required;`
    }
  }
  return all
}

/** Warnings and errors only, to standard output. */
export const log4jProperties: string = properties({
  status: 'error',
  'appender.console.type': 'Console',
  'appender.console.name': 'STDOUT',
  'appender.console.layout.type': 'PatternLayout',
  'appender.console.layout.pattern': '[%d] %p %m (%c)%n',
  'rootLogger.level': 'warn',
  'rootLogger.appenderRef.console.ref': 'STDOUT',
})

/** Makes certificates and a password that nobody has used before. Throws ServiceError `openssl-missing`. */
export async function makeCredentials(folder: string): Promise<KafkaCredentials> {
  for (const name of ['server', 'client']) {
    const { code, output } = await run('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'],
      ...['-subj', `/CN=millrace ${name}`, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'],
      ...['-keyout', join(folder, `${name}-key.pem`), '-out', join(folder, `${name}-cert.pem`)],
    ])
    if (code !== 0) {
      throw new ServiceError(
        'openssl-missing',
        `openssl is needed for Kafka's TLS listeners and did not work:\n${lastLines(output, 4)}`,
      )
    }
  }
  const read = (name: string) => readFile(join(folder, `${name}.pem`), 'utf8')
  const keyStore = join(folder, 'server.pem')
  await writeFile(keyStore, (await read('server-key')) + (await read('server-cert')))
  await chmod(keyStore, 0o600)
  return {
    username: 'alice',
    password: randomBytes(12).toString('hex'),
    ca: await read('server-cert'),
    cert: await read('client-cert'),
    key: await read('client-key'),
  }
}

function properties(entries: Record<string, string>): string {
  return Object.entries(entries)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}
