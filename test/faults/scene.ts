/**
 * The scene of an episode: a topic that is kept supplied, a database, service processes that share the work, and a reader
 * that looks on. Episodes strike; here it is seen to that work goes on, and that what is left behind is sound.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import { createTopic } from '../support/topics.ts'
import { until } from '../support/until.ts'
import { check } from './checker.ts'
import { collectEvidence, logEnds } from './collectEvidence.ts'
import { createDatabase, type SceneDatabase } from './database.ts'
import type { Finding } from './evidence.ts'
import { Feed } from './feed.ts'
import { Member } from './member.ts'
import { Watcher } from './watcher.ts'

/** How long partitions may take to go on after a fault: sessions, timeouts and starts of processes, on a machine that has other work too. */
const goesOnWithinMs = 90_000
/** The promise that is tested: lag 0 within this after the last fault. */
const caughtUpWithinMs = 60_000

export interface Servers {
  readonly brokers: readonly string[]
  readonly databaseUrl: string
}

export interface SceneSettings {
  readonly seed: number
  readonly transactional?: boolean
  readonly partitions?: number
}

export class Scene {
  readonly servers: Servers
  readonly topic: string
  readonly database: SceneDatabase
  readonly feed: Feed
  readonly members: Member[] = []
  readonly watcher: Watcher
  /** What went wrong with processes. */
  readonly complaints: string[] = []
  /** Ends that the faults of an episode explain; then a service is started again, as a supervisor would. Default: none. */
  startAgain: { readonly codes: readonly number[]; readonly names: RegExp } | undefined
  readonly #folder: string
  readonly #closers: (() => Promise<unknown>)[] = []
  readonly #all: Member[] = []
  #partitions: number

  private constructor(servers: Servers, settings: SceneSettings, database: SceneDatabase, folder: string) {
    this.servers = servers
    this.topic = `faults-${randomBytes(6).toString('hex')}`
    this.database = database
    this.#folder = folder
    this.#partitions = settings.partitions ?? 4
    this.watcher = new Watcher(database)
    this.feed = new Feed({
      brokers: servers.brokers,
      topic: this.topic,
      partitions: this.#partitions,
      seed: settings.seed,
      transactional: settings.transactional ?? false,
      positions: () => this.watcher.positions,
    })
  }

  static async open(servers: Servers, settings: SceneSettings): Promise<Scene> {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-faults-'))
    const database = await createDatabase(servers.databaseUrl, 50)
    const scene = new Scene(servers, settings, database, folder)
    await scene.#inKafka((admin) => createTopic(admin, { topic: scene.topic, numPartitions: scene.#partitions }))
    await scene.feed.start()
    return scene
  }

  get partitions(): number {
    return this.#partitions
  }

  /** Starts one more service. */
  start(env: Readonly<Record<string, string>> = {}, through: Partial<Servers> = {}): Member {
    const member = new Member({
      name: `${this.database.name}-${this.#all.length}`,
      topic: this.topic,
      brokers: this.servers.brokers,
      databaseUrl: through.databaseUrl ?? this.database.url,
      folder: this.#folder,
      env: { ...serviceEnvironment, ...env },
    })
    this.members.push(member)
    this.#all.push(member)
    return member
  }

  /** It is known to have ended, or is about to: no longer one of those that work. */
  dismiss(member: Member): void {
    this.members.splice(this.members.indexOf(member), 1)
  }

  /** It takes part again. */
  readmit(member: Member): void {
    this.members.push(member)
  }

  /** One of those that work; any number will do. */
  pick(number: number): Member {
    const member = this.members[number % this.members.length]
    if (member === undefined) throw new Error('there is no service')
    return member
  }

  /** Closed with the scene, after its services have ended. */
  onClose(close: () => Promise<unknown>): void {
    this.#closers.push(close)
  }

  /** Waits until some service tells of it in its log. */
  async isToldOf(what: RegExp): Promise<void> {
    const told = () => this.#all.reduce((sum, member) => sum + member.told(what), 0)
    const before = told()
    await this.until(`a service tells of ${what.source}`, () => told() > before)
  }

  /** Adds a partition, and records in it. */
  async grow(): Promise<void> {
    this.#partitions++
    await this.#inKafka((admin) =>
      admin.createPartitions({ topicPartitions: [{ topic: this.topic, count: this.#partitions }] }),
    )
    await this.feed.growTo(this.#partitions)
  }

  /** Waits until every partition has committed since now. A service that ends meanwhile is a complaint, and the end. */
  async goesOn(since: string): Promise<void> {
    const before = this.watcher.positions
    await this.until(`every partition goes on: ${since}`, () => {
      const now = this.watcher.positions
      const all = Array.from({ length: this.#partitions }, (_, partition) => partition)
      return all.every((partition) => (now.get(partition) ?? 0) > (before.get(partition) ?? 0))
    })
  }

  /** Waits for records that are not committed, while others are. */
  async isBusy(): Promise<void> {
    const before = this.committed
    await this.until('there is work, and it is being done', () => this.committed > before && this.feed.lag > 0)
  }

  /** What the services printed last, for whoever has to find out what went wrong. */
  get lastWords(): string {
    return this.members.map((member) => `── ${member.name}\n${member.lastWords}`).join('\n')
  }

  /** Waits until the group is at work without a service that has stopped: others have what it had. */
  async isForgotten(member: Member): Promise<void> {
    await this.#inKafka(async (admin) => {
      await this.until(`the group forgets ${member.name}`, async () => {
        const [group] = (await admin.describeGroups([this.topic])).groups
        return group?.state === 'Stable' && group.members.every(({ clientId }) => clientId !== member.name)
      })
    })
  }

  get committed(): number {
    return [...this.watcher.positions.values()].reduce((sum, next) => sum + next, 0)
  }

  async until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = goesOnWithinMs): Promise<void> {
    await until(
      what,
      () => {
        this.#supervise()
        return condition()
      },
      timeoutMs,
    )
  }

  #supervise(): void {
    for (const member of [...this.members]) {
      if (member.end === undefined) continue
      const { codes = [], names } = this.startAgain ?? {}
      if (!codes.includes(member.end.code ?? -1) || names?.test(member.error) !== true)
        throw new Error(`a service ended by itself: ${endOf(member)}`)
      this.dismiss(member)
      this.start()
    }
  }

  /** Lets everything be worked off after the last fault. Throws when that takes longer than it may. */
  async catchUp(records: number): Promise<void> {
    await this.feed.finish(records)
    const ends = await logEnds(this.servers.brokers, this.topic)
    const isThere = () => [...ends].every(([partition, end]) => this.watcher.positions.get(partition) === end)
    await this.until('lag 0', isThere, caughtUpWithinMs)
  }

  /** Ends the services with SIGTERM, which they have to obey in time, and looks at what is left behind. */
  async findings(): Promise<Finding[]> {
    await Promise.all([...this.members].map((member) => this.terminate(member)))
    await this.watcher.stop()
    if (this.watcher.looks === 0) this.complaints.push('the reader has seen nothing')
    const batches = this.#all.flatMap((member) => member.batches)
    const { snapshots } = this.watcher
    const { brokers } = this.servers
    const sources = { brokers, topic: this.topic, database: this.database }
    return check(await collectEvidence(sources, { snapshots, batches, complaints: this.complaints }))
  }

  /** SIGTERM: it ends with code 0 within 10 s, whatever it has in hand. */
  async terminate(member: Member): Promise<void> {
    this.dismiss(member)
    const from = performance.now()
    member.signal('SIGTERM')
    const { code, signal } = await member.ended
    const seconds = (performance.now() - from) / 1_000
    if (code !== 0 || signal !== null || seconds > 10)
      this.complaints.push(`after SIGTERM, in ${seconds.toFixed(1)} s: ${endOf(member)}`)
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((member) => member.kill()))
    await this.feed.stop().catch(() => undefined)
    for (const close of this.#closers) await close()
    await this.watcher.stop()
    await this.database.drop()
    await this.#inKafka((admin) => admin.deleteTopics({ topics: [this.topic] }))
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #inKafka(work: (admin: ReturnType<Kafka['admin']>) => Promise<unknown>): Promise<void> {
    const { brokers } = this.servers
    const admin = new Kafka({ brokers: [...brokers], clientId: 'faults', logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    try {
      await work(admin)
    } finally {
      await admin.disconnect()
    }
  }
}

/** Small batches make many commits, and so many places to strike at; short timeouts make faults short. */
const serviceEnvironment = {
  MILLRACE_COMMIT_MAX_ITEMS: '25',
  MILLRACE_KAFKA_SESSION_TIMEOUT_MS: '6000',
  MILLRACE_KAFKA_METADATA_MAX_AGE_MS: '1000',
  MILLRACE_POSTGRES_STATEMENT_TIMEOUT_MS: '5000',
  MILLRACE_POSTGRES_LOCK_TIMEOUT_MS: '4500',
  MILLRACE_POSTGRES_IDLE_IN_TRANSACTION_TIMEOUT_MS: '4000',
}

/** How a service ended, with its last words. */
function endOf(member: Member): string {
  const { code, signal } = member.end ?? {}
  return `${member.name} with ${signal ?? `code ${code}`}\n${member.lastWords}`
}
