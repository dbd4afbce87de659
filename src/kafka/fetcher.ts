/**
 * The fetch loops: one for each broker that leads partitions somebody reads, alive only while somebody does.
 *
 * A broker answers the requests of a connection one after the other, so a request that waits for new records holds up
 * whoever comes next. Therefore the broker is asked to wait only when the request holds every partition that is read
 * here and that it leads; nobody can come next then. In all other cases it answers at once and the loop waits here, where a
 * partition whose task has become free can wake it.
 */
import { type Clock, sleep } from '../core/clock.ts'
import { messageOf, SourceError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { RecordChunk } from '../core/record.ts'
import type { LogBounds, TopicPartition } from '../core/source.ts'
import { type Connections, pauseBefore } from './connections.ts'
import type { FetchedPartition } from './fetchProtocol.ts'
import { type FetchSlot, isExpected, isWanted, newSlot, placeOf, type Slot } from './fetchSlot.ts'
import { kafkaError } from './kafkaErrors.ts'
import type { PartitionReader } from './partitionReader.ts'
import { judge } from './retryable.ts'
import { offsetGap } from './sourceErrors.ts'

/** How long a loop that must stay wakeable waits before it asks for partitions without news again. */
const localWaitMs = 25
const noLeader = -1

/** Turns what came for a partition into chunks, most often one; the first begins at `offset`. */
export type Decode = (fetched: FetchedPartition, offset: number) => AsyncIterable<RecordChunk>

export interface FetcherOptions {
  readonly connections: Connections
  readonly clock: Clock
  readonly logger: Logger
  readonly decode: Decode
  /** Asked when the broker says that a position is outside the log. */
  readonly bounds: (of: TopicPartition) => Promise<LogBounds>
}

interface Loop {
  wake: () => void
  failingSince: number | undefined
  failures: number
}

export class Fetcher {
  readonly #options: FetcherOptions
  #slots: Slot[] = []
  readonly #loops = new Map<number, Loop>()
  #turn = 0

  constructor(options: FetcherOptions) {
    this.#options = options
  }

  /** Replaces the partitions; readers of earlier ones end. */
  assign(slots: readonly FetchSlot[]): void {
    for (const { of } of this.#slots) of.reader?.close()
    this.#slots = slots.map(newSlot)
    this.wake()
  }

  /** To be called when a reader begins to want records. */
  wake(): void {
    for (const loop of this.#loops.values()) loop.wake()
    for (const slot of this.#slots) {
      const node = this.#leaderOf(slot)
      if (isWanted(slot) && !this.#loops.has(node)) {
        const loop: Loop = { wake: () => {}, failingSince: undefined, failures: 0 }
        this.#loops.set(node, loop)
        void this.#run(node, loop)
      }
    }
  }

  /** Runs until nothing led by the node is wanted. Never rejects: what fails belongs to readers. */
  async #run(node: number, loop: Loop): Promise<void> {
    for (;;) {
      // One turn of the event loop: who takes what just came, or begins to read, comes into the next request.
      await new Promise((resolve) => setImmediate(resolve))
      const now = this.#options.clock.now()
      const led = this.#slots.filter((slot) => this.#leaderOf(slot) === node && isExpected(slot, now))
      const wanted = led.filter(isWanted)
      if (wanted.length === 0 || this.#options.connections.closed.aborted) break
      const ready = wanted.filter((slot) => slot.notBefore <= now)
      if (ready.length === 0) {
        await this.#wait(loop, Math.min(...wanted.map((slot) => slot.notBefore)) - now)
        continue
      }
      try {
        const news = node === noLeader ? await this.#findLeaders(ready) : await this.#fetch(node, ready, led.length)
        loop.failingSince = undefined
        loop.failures = 0
        if (!news && ready.length < led.length) await this.#wait(loop, localWaitMs)
      } catch (error) {
        await this.#requestFailed(error, loop, ready)
      }
    }
    this.#loops.delete(node)
  }

  /** One request; true when it brought something. */
  async #fetch(node: number, ready: readonly Slot[], led: number): Promise<boolean> {
    const { connections } = this.#options
    const { settings } = connections.context
    const broker = await connections.cluster.findBroker({ nodeId: node })
    const asked = this.#inTurn(ready).flatMap((slot) => {
      const { reader, topic, partition } = slot.of
      return reader === undefined ? [] : [{ slot, reader, topic, partition, offset: reader.position }]
    })
    const answers = await connections.fetch(broker, {
      partitions: asked,
      maxWaitMs: ready.length === led ? settings.fetchMaxWaitMs : 0,
      minBytes: settings.fetchMinBytes,
      maxBytes: settings.fetchMaxBytes,
      maxBytesPerPartition: settings.fetchMaxBytesPerPartition,
    })
    let news = false
    let moved = false
    for (const fetched of answers) {
      const question = asked.find(({ topic, partition }) => topic === fetched.topic && partition === fetched.partition)
      if (question === undefined) continue
      const { slot, reader } = question
      // Revoked or read from elsewhere in the meantime: an answer to a question that nobody asks any more.
      if (reader.closed) continue
      if (fetched.errorCode !== 0) {
        const error = connections.kafkajs.createErrorFromCode(fetched.errorCode)
        moved = this.#partitionFailed(slot, reader, error) || moved
        continue
      }
      slot.failingSince = undefined
      slot.failures = 0
      if (fetched.records.length === 0) continue
      news = true
      void this.#handOver(slot, reader, fetched)
    }
    if (moved) await this.#lookAgain()
    return news || moved
  }

  /** The same slots, beginning with another one each time: a broker fills its answer in the order of the request. */
  #inTurn(slots: readonly Slot[]): readonly Slot[] {
    const from = this.#turn++ % slots.length
    return [...slots.slice(from), ...slots.slice(0, from)]
  }

  /** Hands over what came, as fast as it is taken. Runs beside the loop, which fetches other partitions meanwhile. */
  async #handOver(slot: Slot, reader: PartitionReader, fetched: FetchedPartition): Promise<void> {
    const offset = reader.position
    slot.busy = true
    try {
      for await (const chunk of this.#options.decode(fetched, offset)) {
        if (reader.closed) break
        reader.deliver(chunk)
        await reader.room()
      }
      if (reader.position === offset && !reader.closed) throw noWholeBatch(slot.of, offset)
    } catch (error) {
      reader.fail(kafkaError(error, this.#options.connections.context, { ...placeOf(slot), offset: reader.position }))
    } finally {
      slot.busy = false
      this.wake()
    }
  }

  /** What becomes of a partition that the broker answered with an error; true when its leader should be looked up. */
  #partitionFailed(slot: Slot, reader: PartitionReader, error: unknown): boolean {
    const { connections, clock, logger } = this.#options
    const place = { ...placeOf(slot), offset: reader.position }
    const verdict = judge(error)
    if (verdict.code === 'MR-KAFKA-OFFSET-GAP') {
      slot.busy = true
      void this.#checkPosition(slot, reader).finally(() => {
        slot.busy = false
        this.wake()
      })
      return false
    }
    const now = clock.now()
    slot.failingSince ??= now
    if (verdict.reaction === 'stop' || now - slot.failingSince >= connections.context.settings.giveUpAfterMs) {
      reader.fail(kafkaError(error, connections.context, place))
      return false
    }
    logger.debug({ ...place, error: messageOf(error) }, 'a partition cannot be fetched for now')
    slot.notBefore = now + pauseBefore(slot.failures++)
    return verdict.reaction === 'refresh'
  }

  /** A position outside the log is never moved in silence: the reader fails with what is missing. */
  async #checkPosition(slot: Slot, reader: PartitionReader): Promise<void> {
    const of = placeOf(slot)
    const offset = reader.position
    try {
      const { start, end } = await this.#options.bounds(of)
      // After a change of leaders the answer may have been wrong for a moment; then it is simply asked again.
      if (offset >= start && offset <= end && slot.failures++ < 5) {
        slot.notBefore = this.#options.clock.now() + pauseBefore(slot.failures)
        return
      }
      reader.fail(offsetGap(of, offset, { start, end }))
    } catch (error) {
      reader.fail(kafkaError(error, this.#options.connections.context, { ...of, offset }))
    }
  }

  /** Partitions without a known leader: looks it up, and counts as their failure. */
  async #findLeaders(ready: readonly Slot[]): Promise<boolean> {
    await this.#lookAgain()
    for (const slot of ready) {
      const { reader, topic } = slot.of
      if (reader === undefined || this.#leaderOf(slot) !== noLeader) continue
      this.#partitionFailed(slot, reader, this.#whyNoLeader(topic))
    }
    return true
  }

  #whyNoLeader(topic: string): unknown {
    const { connections } = this.#options
    try {
      connections.partitionsOf(topic)
      return connections.kafkajs.createErrorFromCode(leaderNotAvailable)
    } catch (error) {
      return error
    }
  }

  /** Asks who leads what now; loops of new leaders begin. That this fails is found out by the next fetch. */
  async #lookAgain(): Promise<void> {
    const { connections, logger } = this.#options
    await connections.cluster.refreshMetadata().catch((error: unknown) => {
      logger.debug({ error: messageOf(error) }, 'the metadata of the topics could not be refreshed')
    })
    this.wake()
  }

  async #requestFailed(error: unknown, loop: Loop, ready: readonly Slot[]): Promise<void> {
    const { connections, clock, logger } = this.#options
    if (connections.closed.aborted) return
    const now = clock.now()
    loop.failingSince ??= now
    const lost = now - loop.failingSince >= connections.context.settings.giveUpAfterMs
    if (judge(error).reaction === 'stop' || lost) {
      for (const slot of ready) {
        const { reader } = slot.of
        reader?.fail(kafkaError(error, connections.context, { ...placeOf(slot), offset: reader.position }))
      }
      return
    }
    if (loop.failures === 0) logger.warn({ error: messageOf(error) }, 'Kafka does not answer; trying again')
    // Not to be woken: the demand of other partitions must not turn this into a storm.
    await sleep(clock, pauseBefore(loop.failures++), connections.closed)
    await this.#lookAgain()
  }

  #leaderOf({ of }: Slot): number {
    const { metadata } = this.#options.connections.cluster.brokerPool
    const topic = metadata?.topicMetadata.find((known) => known.topic === of.topic)
    return topic?.partitionMetadata.find(({ partitionId }) => partitionId === of.partition)?.leader ?? noLeader
  }

  async #wait(loop: Loop, ms: number): Promise<void> {
    const woken = new AbortController()
    loop.wake = () => woken.abort()
    await sleep(this.#options.clock, Math.max(1, ms), woken.signal)
    loop.wake = () => {}
  }
}

const leaderNotAvailable = 5

function noWholeBatch(of: TopicPartition, offset: number): SourceError {
  return new SourceError('MR-KAFKA-PROTOCOL', {
    what: 'a broker answered a fetch without one whole record batch',
    why: 'Every Kafka since 0.10.1 sends at least one whole batch, however large.',
    fix: 'Check what stands between this client and the brokers.',
    place: { ...of, offset },
  })
}
