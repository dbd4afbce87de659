/**
 * What integration tests need of the running Kafka and Postgres. Everything made here is removed when the test file
 * that imported it is done.
 */
import { randomBytes } from 'node:crypto'
import { type Admin, Kafka, logLevel, type Message, Partitioners, type Producer } from 'kafkajs'
import pg from 'pg'
import { afterAll, inject } from 'vitest'
import { createTopic } from './topics.ts'

/** `host:port` of the running brokers. */
export const brokers: string[] = inject('brokers')

/** The superuser's url of the running Postgres. Tables belong into a {@link freshDatabase}. */
export const databaseUrl: string = inject('databaseUrl')

/** A database of one test file. */
export interface FreshDatabase {
  readonly name: string
  readonly url: string
  /** One statement over a connection of the test's own. */
  query<Row extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]>
}

const cleanups: (() => Promise<unknown>)[] = []

// Registered on import, and every test file has its own copy of this module.
afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

/** Creates an empty database and optionally runs statements in it. Dropped, with all its connections, after the test file. */
export async function freshDatabase(setupSql?: string): Promise<FreshDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await inMaintenance(`create database ${name}`)
  const url = new URL(databaseUrl)
  url.pathname = `/${name}`
  const pool = new pg.Pool({ connectionString: url.href, max: 4 })
  pool.on('error', () => undefined) // tests that break the server on purpose break idle connections too
  cleanups.push(async () => {
    await pool.end()
    await inMaintenance(`drop database if exists ${name} with (force)`)
  })
  const query = async <Row extends pg.QueryResultRow>(sql: string, values?: unknown[]) =>
    (await pool.query<Row>(sql, values)).rows
  if (setupSql !== undefined) await query(setupSql)
  return { name, url: url.href, query }
}

async function inMaintenance(sql: string): Promise<void> {
  const client = new pg.Client(databaseUrl)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

const kafka = new Kafka({ brokers, clientId: 'millrace-test', logLevel: logLevel.NOTHING })
let connectedAdmin: Promise<Admin> | undefined
let connectedProducer: Promise<Producer> | undefined

/** An admin client of plain kafkajs, connected once for the test file. */
export function kafkaAdmin(): Promise<Admin> {
  connectedAdmin ??= connected(kafka.admin())
  return connectedAdmin
}

/** A producer of plain kafkajs, connected once for the test file. */
function kafkaProducer(): Promise<Producer> {
  connectedProducer ??= connected(kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner }))
  return connectedProducer
}

async function connected<Client extends Admin | Producer>(client: Client): Promise<Client> {
  await client.connect()
  cleanups.push(() => client.disconnect())
  return client
}

/** A name that no other test uses, for topics and groups. */
export function freshName(prefix = 'test'): string {
  return `${prefix}-${randomBytes(6).toString('hex')}`
}

/** Creates a topic, by default with one partition and a name of its own; deleted after the test file. */
export async function freshTopic(numPartitions = 1, topic = freshName()): Promise<string> {
  const admin = await kafkaAdmin()
  await createTopic(admin, { topic, numPartitions })
  cleanups.push(() => admin.deleteTopics({ topics: [topic] }))
  return topic
}

const messagesPerRequest = 10_000

/** Writes records in their order and waits until the broker has them. Without a `partition` the key decides. */
export async function produce(topic: string, messages: readonly Message[]): Promise<void> {
  const producer = await kafkaProducer()
  for (let from = 0; from < messages.length; from += messagesPerRequest) {
    await producer.send({ topic, messages: messages.slice(from, from + messagesPerRequest) })
  }
}
