/** A real Apache Kafka of one node, for the demo, the tests and the benchmark. */
import { randomUUID } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import { serviceFolder } from './folder.ts'
import { Guarded } from './guarded.ts'
import {
  type KafkaCredentials,
  type ListenerPorts,
  log4jProperties,
  makeCredentials,
  serverProperties,
} from './kafkaConfig.ts'
import { kafkaAvailability, kafkaClassPath } from './kafkaJars.ts'
import { freePorts } from './ports.ts'
import { lastLines, run } from './run.ts'
import { ServiceError } from './serviceError.ts'

const startTimeoutMs = 90_000

export interface KafkaOptions {
  /** Adds the listeners SSL, SASL_PLAINTEXT and SASL_SSL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512). Needs openssl. Default false. */
  readonly secure?: boolean
}

/** The listeners that ask for more than a connection, each as `host:port`. */
export interface SecureListeners extends KafkaCredentials {
  readonly ssl: string[]
  readonly saslPlaintext: string[]
  readonly saslSsl: string[]
}

export interface KafkaService {
  /** `host:port` of the listener without TLS and login. */
  readonly brokers: string[]
  /** Only with `secure: true`. */
  readonly secure: SecureListeners | undefined
  /** Runs Java tools of Kafka's: `java -cp classPath`. */
  readonly java: string
  readonly classPath: string
  /** SIGKILL, as a machine that loses power. Data and ports stay for {@link restart}. */
  kill(): Promise<void>
  /** Starts a killed broker again on its data and ports, and waits until it answers. */
  restart(): Promise<void>
  /** SIGSTOP: connections stay open, nothing answers. */
  pause(): void
  /** SIGCONT after {@link pause}. */
  resume(): void
  /** Ends the broker and removes its data. */
  stop(): Promise<void>
}

/**
 * Starts a broker on free ports of 127.0.0.1 with its data in a temporary folder. It ends with this process, however
 * this process ends. Topics are not created by themselves. Throws ServiceError when Java, Maven, a port or disk space is
 * missing; ask {@link kafkaAvailability} first where there is another way.
 */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaService> {
  const availability = await kafkaAvailability()
  if (!availability.available) throw availability.reason
  const classPath = await kafkaClassPath()
  // A port that was free a moment ago may be taken; that is worth another try, anything else is not.
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(availability.java, classPath, options.secure === true)
    } catch (error) {
      if (attempt === 3 || !(error instanceof Error && /Address already in use/i.test(error.message))) throw error
    }
  }
}

async function startOnce(java: string, classPath: string, secure: boolean): Promise<KafkaService> {
  const folder = await serviceFolder('Kafka')
  const ports = await listenerPorts(secure)
  const logging = join(folder, 'log4j2.properties')
  // Compiling less gets the broker up in 3.5 s instead of 6 s; one client machine cannot keep it busy anyway.
  const jvm = [
    '-Xms256m',
    '-Xmx512m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    `-Dlog4j2.configurationFile=${logging}`,
    '-cp',
    classPath,
  ]
  const config = join(folder, 'server.properties')
  let credentials: KafkaCredentials | undefined
  try {
    await writeFile(logging, log4jProperties)
    credentials = secure ? await makeCredentials(folder) : undefined
    await writeFile(config, serverProperties(folder, ports, credentials), { mode: 0o600 })
    await format(java, jvm, config, credentials)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  const guarded = new Guarded({
    name: 'Kafka',
    command: java,
    args: [...jvm, 'kafka.Kafka', config],
    cwd: folder,
    env: process.env,
    logFile: join(folder, 'kafka.log'),
    folder,
    // The data is thrown away with it, so an orderly end would only take time.
    stopSignal: 'SIGKILL',
  })
  const brokers = [`127.0.0.1:${ports.PLAINTEXT}`]
  const up = async () => {
    await guarded.start()
    await guarded.until(() => answers(brokers), startTimeoutMs)
  }
  try {
    await up()
  } catch (error) {
    await guarded.stop()
    throw error
  }
  return {
    brokers,
    secure: credentials === undefined ? undefined : secureListeners(ports, credentials),
    java,
    classPath,
    kill: () => guarded.end('SIGKILL'),
    restart: up,
    pause: () => guarded.signal('SIGSTOP'),
    resume: () => guarded.signal('SIGCONT'),
    stop: () => guarded.stop(),
  }
}

async function listenerPorts(secure: boolean): Promise<ListenerPorts> {
  const [plaintext = 0, controller = 0, ssl = 0, saslPlaintext = 0, saslSsl = 0] = await freePorts(secure ? 5 : 2)
  const ports = { PLAINTEXT: plaintext, CONTROLLER: controller }
  return secure ? { ...ports, SSL: ssl, SASL_PLAINTEXT: saslPlaintext, SASL_SSL: saslSsl } : ports
}

function secureListeners(ports: ListenerPorts, credentials: KafkaCredentials): SecureListeners {
  const at = (port: number | undefined) => [`127.0.0.1:${port}`]
  return { ...credentials, ssl: at(ports.SSL), saslPlaintext: at(ports.SASL_PLAINTEXT), saslSsl: at(ports.SASL_SSL) }
}

async function format(
  java: string,
  jvm: readonly string[],
  config: string,
  credentials: KafkaCredentials | undefined,
): Promise<void> {
  const clusterId = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
  const users = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) =>
    credentials === undefined
      ? []
      : ['--add-scram', `${mechanism}=[name=${credentials.username},password=${credentials.password}]`],
  )
  const { code, output } = await run(java, [
    ...jvm,
    'kafka.tools.StorageTool',
    'format',
    '-t',
    clusterId,
    '-c',
    config,
    ...users,
  ])
  if (code !== 0)
    throw new ServiceError('start-failed', `Kafka's data folder could not be made:\n${lastLines(output, 8)}`)
}

/** Whether the broker takes part in its cluster: only then can topics be made. */
async function answers(brokers: string[]): Promise<boolean> {
  const client = new Kafka({
    brokers,
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    requestTimeout: 2_000,
    retry: { retries: 0 },
  })
  const admin = client.admin()
  try {
    await admin.connect()
    return (await admin.describeCluster()).brokers.length > 0
  } catch {
    return false
  } finally {
    await admin.disconnect()
  }
}
