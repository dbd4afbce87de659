/**
 * Keeps a topic supplied: always some records ahead of what is committed, so that there is lag when something strikes, and
 * never so many that an end would be far.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, Partitioners, type Producer, type RecordMetadata, type Transaction } from 'kafkajs'
import { abortedRecordOf, lastRecordOf, mixed, recordOf } from './records.ts'

const perRequest = 400
/** How far it runs ahead of what is committed. */
const ahead = 2_000

export interface FeedSettings {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly partitions: number
  readonly seed: number
  /** Transactions that overlap, of which every third is rolled back. */
  readonly transactional: boolean
  /** Next offsets by partition, as committed by the services. */
  readonly positions: () => ReadonlyMap<number, number>
}

export class Feed {
  readonly #settings: FeedSettings
  readonly #kafka: Kafka
  /** Offset behind the last record of each partition, as told by the broker. */
  readonly #ends = new Map<number, number>()
  #plain: Producer | undefined
  #transactional: Producer[] = []
  #partitions: number
  #count = 0
  #transactions = 0
  #stopped = false
  #running: Promise<void> | undefined

  constructor(settings: FeedSettings) {
    this.#settings = settings
    this.#partitions = settings.partitions
    // A broker that was killed comes back; until then requests are tried again.
    const retry = { retries: 200, initialRetryTime: 100, maxRetryTime: 500 }
    const brokers = [...settings.brokers]
    this.#kafka = new Kafka({ brokers, clientId: 'faults', logLevel: logLevel.NOTHING, retry })
  }

  /** Records sent so far, rolled back ones not counted. */
  get count(): number {
    return this.#count
  }

  /** Records that the broker has and no service has committed. */
  get lag(): number {
    const positions = this.#settings.positions()
    let lag = 0
    for (const [partition, end] of this.#ends) lag += Math.max(0, end - (positions.get(partition) ?? 0))
    return lag
  }

  async start(): Promise<void> {
    await this.#connect()
    this.resume()
  }

  /** Sends to as many partitions from now on. */
  async growTo(partitions: number): Promise<void> {
    await this.stop()
    // A producer learns of new partitions when it connects.
    await this.#disconnect()
    this.#partitions = partitions
    await this.start()
  }

  /** Goes on after a stop. */
  resume(): void {
    this.#stopped = false
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  /** Sends what is left up to a number of records, and the last record of each partition. */
  async finish(records: number): Promise<void> {
    await this.stop()
    while (this.#count < records) {
      if (this.lag >= 2 * ahead) await sleep(20)
      else await this.#send()
    }
    const last = Array.from({ length: this.#partitions }, (_, partition) => lastRecordOf(partition))
    this.#note(await this.#plain?.send({ topic: this.#settings.topic, messages: last }), () => 1)
    await this.#disconnect()
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      if (this.lag >= ahead) await sleep(10)
      else await this.#send()
    }
  }

  async #send(): Promise<void> {
    if (this.#settings.transactional) await this.#sendOverlapping()
    else await this.#sendSome(this.#plain as Producer, this.#next())
  }

  /** Two transactions, one begun inside the other; sometimes one of them is rolled back, sometimes both, sometimes none. */
  async #sendOverlapping(): Promise<void> {
    const chance = mixed(this.#transactions++, this.#settings.seed) % 4
    const [outer, inner] = await Promise.all(this.#transactional.map((producer) => producer.transaction()))
    const send = (transaction: Transaction | undefined, aborts: boolean) =>
      this.#sendSome(transaction as Transaction, aborts ? this.#nextAborted() : this.#next())
    await send(outer, chance === 1 || chance === 3)
    await send(inner, chance === 2 || chance === 3)
    await send(outer, chance === 1 || chance === 3)
    await (chance === 1 || chance === 3 ? outer?.abort() : outer?.commit())
    await send(inner, chance === 2 || chance === 3)
    await (chance === 2 || chance === 3 ? inner?.abort() : inner?.commit())
  }

  #next(): ReturnType<typeof recordOf>[] {
    const from = this.#count
    this.#count += perRequest
    return Array.from({ length: perRequest }, (_, at) => recordOf(from + at, this.#partitions, this.#settings.seed))
  }

  #nextAborted(): ReturnType<typeof recordOf>[] {
    return Array.from({ length: 50 }, (_, at) =>
      abortedRecordOf(this.#count + at, this.#partitions, this.#settings.seed),
    )
  }

  /** A request that failed for good may have been carried out or not: the log tells, nobody else. */
  async #sendSome(to: Producer | Transaction, messages: ReturnType<typeof recordOf>[]): Promise<void> {
    const counts = new Map<number, number>()
    for (const { partition } of messages) counts.set(partition, (counts.get(partition) ?? 0) + 1)
    const answers = await to.send({ topic: this.#settings.topic, messages })
    this.#note(answers, (partition) => counts.get(partition) ?? 0)
  }

  #note(answers: readonly RecordMetadata[] | undefined, countOf: (partition: number) => number): void {
    for (const { partition, baseOffset } of answers ?? []) {
      this.#ends.set(partition, Number(baseOffset) + countOf(partition))
    }
  }

  async #connect(): Promise<void> {
    const createPartitioner = Partitioners.DefaultPartitioner
    this.#plain = this.#kafka.producer({ createPartitioner })
    const { topic, transactional } = this.#settings
    this.#transactional = transactional
      ? ['outer', 'inner'].map((name) =>
          this.#kafka.producer({
            createPartitioner,
            transactionalId: `${topic}-${name}`,
            idempotent: true,
            maxInFlightRequests: 1,
          }),
        )
      : []
    await Promise.all([this.#plain, ...this.#transactional].map((producer) => producer.connect()))
  }

  async #disconnect(): Promise<void> {
    await Promise.all([this.#plain, ...this.#transactional].map((producer) => producer?.disconnect()))
  }
}
