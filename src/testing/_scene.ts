/**
 * A plan as a group of processes over a broker and a store in memory, in which processes are killed, frozen and joined, and
 * commits fail. The runtime is the real one; what it stands on is a model.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { UnavailableError } from '../core/errors.ts'
import { silentLogger } from '../core/logger.ts'
import type { OutcomeName } from '../core/outcome.ts'
import { type PlanLeaf, stepsOf } from '../core/plan.ts'
import type { SourceClient } from '../core/source.ts'
import type { CommitRequest, SourceProgress, Store } from '../core/store.ts'
import type { Batch } from '../runtime/batch.ts'
import type { BatchEnd } from '../runtime/closeBatch.ts'
import { Runner } from '../runtime/runner.ts'
import { leavesOf, type Plan } from '../stream.ts'
import { outboxOf } from './_memoryOutbox.ts'
import { stateOf } from './_memoryState.ts'
import { type PlacedRecord, placeOf, type Written } from './_place.ts'
import { SceneTopics } from './_sceneTopics.ts'
import { frozen } from './deepFreeze.ts'
import { createMemoryBroker, type MemoryBroker } from './memoryBroker.ts'
import { MemoryBuffer, MemoryStore, type MemoryStoreOptions, type Row } from './memoryStore.ts'
import { VirtualClock } from './virtualClock.ts'

/** How records arrive, and how large batches become. */
export interface Cut {
  readonly partitions: number
  /** Records that the source hands over at once at most. */
  readonly chunk: number
  /** Items of a batch at most. */
  readonly maxItems: number
}

/** What became of an item. Of one whose process died over the answer to its commit, nobody knows. */
export interface Ended {
  readonly stream: string
  readonly record: PlacedRecord
  readonly outcome: OutcomeName
}

/** Something that happens while the plan runs. */
export type Happening =
  | { readonly kind: 'arrive'; readonly count: number }
  /** A process is killed where it stands. */
  | { readonly kind: 'kill' }
  /** A process is killed when it commits next. */
  | { readonly kind: 'kill at commit'; readonly after: boolean }
  /** A process is killed when it sends what it has emitted, after some records have gone in. */
  | { readonly kind: 'kill when sending'; readonly after: number }
  /** The group takes a process for dead, and it is not: it goes on, and tries to commit. */
  | { readonly kind: 'freeze' }
  | { readonly kind: 'join' }
  | { readonly kind: 'lose database' }
  | { readonly kind: 'pass'; readonly ms: number }

/** An item of the error collector. */
export interface SceneError {
  readonly item: string
  readonly record: PlacedRecord | undefined
  readonly step: string
  readonly message: string
}

/** What a run leaves behind. */
export interface Remains {
  readonly rows: Readonly<Record<string, readonly Row[]>>
  readonly errors: readonly SceneError[]
  /** In the order in which it committed. */
  readonly written: readonly Written[]
  readonly ended: readonly Ended[]
}

/** What differs between kinds of scenes. */
export interface SceneOptions extends MemoryStoreOptions {
  /** Default: one that keeps its promises. */
  readonly store?: MemoryStore
  /** Changes what a process runs. */
  readonly instrument?: (leaves: readonly PlanLeaf[]) => readonly PlanLeaf[]
  /** Whether something is under way that takes no virtual time, such as a call: time does not pass meanwhile. */
  readonly isBusy?: () => boolean
}

interface Process {
  readonly client: SourceClient
  readonly runner: Runner
  state: 'alive' | 'frozen' | 'dead'
  /** What its next commit meets. */
  fate: 'lost' | 'killed before' | 'killed after' | undefined
  /** How many records it can still send to topics. */
  sendsLeft: number
}

const app = 'check'
/** Turns of the event loop after a happening: enough to begin, and not to end, what it sets off. */
const turnsBetween = 5
/** Turns after which nothing moves any more unless time does. */
const turnsToCalm = 20
/** Real time after which a call that has not ended is taken for one that needs virtual time to pass. */
const callPatienceMs = 100
/** Virtual time in which a plan has to come to its end. */
const patienceMs = 3_600_000

const unharmed: Pick<Process, 'fate' | 'sendsLeft'> = { fate: undefined, sendsLeft: Number.POSITIVE_INFINITY }

export class Scene {
  readonly #plan: () => readonly PlanLeaf[]
  readonly #cut: Cut
  readonly #isBusy: () => boolean
  readonly #clock = new VirtualClock()
  readonly #broker: MemoryBroker
  readonly #store: MemoryStore
  /** Names of the steps that read, by topic. */
  readonly #sources: ReadonlyMap<string, string>
  readonly #tables: readonly string[]
  readonly #topics: SceneTopics
  /** Records of the partitions that hold some, by step and partition, and then by offset. */
  readonly #logs = new Map<string, Map<number, PlacedRecord>>()
  readonly #written: Written[] = []
  readonly #ended: Ended[] = []
  readonly #processes: Process[] = []
  #failure: { readonly error: unknown } | undefined

  /** @param plan a function makes it anew for each process, as a start of the program does */
  constructor(plan: Plan | (() => Plan), cut: Cut, options: SceneOptions) {
    const { store = new MemoryStore(options), instrument = (leaves) => leaves, isBusy = () => false } = options
    this.#plan = () => instrument(leavesOf(typeof plan === 'function' ? plan() : plan))
    this.#cut = cut
    this.#isBusy = isBusy
    this.#broker = createMemoryBroker({ chunkRecords: cut.chunk })
    this.#store = store
    const steps = stepsOf(this.#plan())
    this.#sources = new Map(steps.flatMap((step) => (step.kind === 'source' ? [[step.source.name, step.name]] : [])))
    this.#tables = [...new Set(steps.flatMap((step) => (step.kind === 'sink' ? [step.sink.name] : [])))]
    this.#topics = new SceneTopics(this.#broker, cut.partitions, steps)
    for (const topic of this.#sources.keys()) this.#broker.createTopic(topic, cut.partitions)
  }

  /**
   * Lets everything happen, and then the plan come to its end.
   *
   * @throws Error when it does not, and what the plan stops with
   */
  async play(records: readonly PlacedRecord[], happenings: readonly Happening[]): Promise<Remains> {
    let sent = 0
    const arrive = (count: number) => {
      for (const record of records.slice(sent, sent + count)) this.#append(record)
      sent = Math.min(sent + count, records.length)
    }
    await this.#join()
    for (const happening of happenings) {
      if (happening.kind === 'arrive') arrive(happening.count)
      else await this.#happen(happening)
      for (let turn = 0; turn < turnsBetween; turn++) await nextTurn()
    }
    arrive(records.length)
    for (const process of this.#processes) Object.assign(process, unharmed)
    await this.#finish()
    const seen = this.#topics.seen()
    return {
      rows: {
        ...Object.fromEntries(this.#tables.map((name) => [placeOf({ kind: 'table', name }), this.#store.rows(name)])),
        ...Object.fromEntries(Array.from(seen, ([place, records]) => [place, records.map(({ row }) => row)])),
      },
      errors: this.#store.collected.map(({ topic, partition, offset, step, error }) => ({
        item: `${topic}[${partition}]@${offset}`,
        record: this.#logs.get(`${this.#sources.get(topic)}/${partition}`)?.get(offset),
        step,
        message: error.message,
      })),
      written: [...this.#written, ...[...seen.values()].flat()],
      ended: this.#ended,
    }
  }

  #append(placed: PlacedRecord): void {
    const { topic, partition, ...record } = placed
    const offset = this.#broker.append(topic, partition, { timestamp: this.#clock.now(), ...record })
    const input = `${this.#sources.get(topic)}/${partition}`
    const log = this.#logs.get(input) ?? new Map<number, PlacedRecord>()
    this.#logs.set(input, log.set(offset, placed))
  }

  async #happen(happening: Exclude<Happening, { kind: 'arrive' }>): Promise<void> {
    const [oldest] = this.#processes.filter(({ state }) => state === 'alive')
    switch (happening.kind) {
      case 'kill':
        if (oldest !== undefined) await this.#kill(oldest)
        return
      case 'kill at commit':
        if (oldest !== undefined) oldest.fate = happening.after ? 'killed after' : 'killed before'
        return
      case 'kill when sending':
        if (oldest !== undefined) oldest.sendsLeft = happening.after
        return
      case 'lose database':
        if (oldest !== undefined) oldest.fate = 'lost'
        return
      case 'freeze':
        if (oldest !== undefined) oldest.state = 'frozen'
        await this.#join()
        if (oldest !== undefined) this.#broker.expel(oldest.client)
        return
      case 'join':
        return this.#join()
      case 'pass':
        return this.#pass(happening.ms)
      default:
        happening satisfies never
    }
  }

  async #join(): Promise<void> {
    const client = this.#broker.client(app)
    const process: Process = {
      client,
      runner: new Runner({
        app,
        leaves: this.#plan(),
        client,
        store: this.#storeOf(() => process),
        writer: this.#topics.writer(() => this.#maySend(process)),
        limits: { everyMs: 1_000, maxItems: this.#cut.maxItems, maxBytes: 2 ** 26 },
        buffer: { maxBytes: 2 ** 28, maxItems: 1_000_000 },
        from: 'earliest',
        clock: this.#clock,
        log: silentLogger,
        readAs: frozen,
        onBatch: (batch, end, { stream }) => this.#noteEnds(batch, end, stream),
      }),
      state: 'alive',
      ...unharmed,
    }
    this.#processes.push(process)
    await process.runner.start()
    process.runner.failed().catch((error: unknown) => {
      if (process.state !== 'dead') this.#failure ??= { error }
    })
  }

  /** What was asked of the store before is not answered any more. Another process takes over when it was the last. */
  async #kill(process: Process): Promise<void> {
    process.state = 'dead'
    this.#broker.expel(process.client)
    if (!this.#processes.some(({ state }) => state === 'alive')) await this.#join()
  }

  /** The store as a process sees it: a dead one waits for its answers for ever. */
  #storeOf(process: () => Process): Store {
    const store = this.#store
    const answer = async <T>(ask: () => Promise<T>): Promise<T> => {
      if (process().state === 'dead') return new Promise<T>(() => {})
      const given = await ask()
      return process().state === 'dead' ? new Promise<T>(() => {}) : given
    }
    return {
      state: stateOf(store.state, answer),
      outbox: outboxOf(store.outbox, answer),
      open: () => store.open(),
      close: () => store.close(),
      createBuffers: (sinks) => store.createBuffers(sinks),
      readProgress: (of) => answer(() => store.readProgress(of)),
      removeProgress: (of) => answer(() => store.removeProgress(of)),
      holdRows: (sinks) => answer(() => store.holdRows(sinks)),
      claim: (task, starts) => answer(() => store.claim(task, starts)),
      commit: (request) => answer(() => this.#commit(process(), request)),
      waitingTasks: (of) => answer(() => store.waitingTasks(of)),
      takeWaiting: (claim, limit) => answer(() => store.takeWaiting(claim, limit)),
      held: (task) => answer(() => store.held(task)),
      recordPlans: (of, plans) => answer(() => store.recordPlans(of, plans)),
      lookup: (query, keys) => answer(() => store.lookup(query, keys)),
      pruneErrors: (of, olderThanMs, limit) => answer(() => store.pruneErrors(of, olderThanMs, limit)),
    }
  }

  /** Whether a process still lives when it sends its next record. */
  async #maySend(process: Process): Promise<boolean> {
    if (process.state !== 'dead' && process.sendsLeft-- === 0) await this.#kill(process)
    return process.state !== 'dead'
  }

  async #commit(process: Process, request: CommitRequest): Promise<void> {
    const { fate } = process
    process.fate = undefined
    switch (fate) {
      case 'lost':
        throw new UnavailableError('MR-TEST-LOST', { what: 'the database is away' })
      case 'killed before':
        return this.#kill(process)
      case 'killed after':
        await this.#carryOut(request)
        return this.#kill(process)
      case undefined:
        return this.#carryOut(request)
      default:
        fate satisfies never
    }
  }

  async #carryOut(request: CommitRequest): Promise<void> {
    const [before] = request.claim.progress as readonly [SourceProgress]
    const [after] = request.progress as readonly [SourceProgress]
    const log = this.#logs.get(`${before.source}/${request.claim.task.partition}`) ?? new Map<number, PlacedRecord>()
    const taken = [...log].filter(([offset]) => offset >= before.nextOffset && offset < after.nextOffset)
    // What no single record has made belongs to none of them.
    const recordOf = (owner: number) =>
      request.origins?.of(owner) === undefined ? undefined : taken[Math.floor(request.position(owner) ?? -1)]?.[1]
    const rows = request.buffers.flatMap((buffer) => {
      if (!(buffer instanceof MemoryBuffer)) return []
      return buffer.rows.map((row, index) => {
        const owner = buffer.owners[index] as number
        const written = { place: placeOf(buffer.sink), row, record: recordOf(owner) }
        return { position: request.position(owner), written }
      })
    })
    const emits = request.emits?.take() ?? []
    await this.#store.commit(request)
    this.#topics.note(request.claim.task, emits, recordOf)
    const standing = rows.filter((row): row is typeof row & { position: number } => row.position !== undefined)
    for (const { written } of standing.sort((a, b) => a.position - b.position)) this.#written.push(written)
  }

  #noteEnds(batch: Batch, { items }: BatchEnd, stream: string): void {
    for (let item = 0; item < items; item++) {
      const { records, index } = batch.locate(item)
      const log = this.#logs.get(`${this.#sources.get(records.topic)}/${records.partition}`)
      const record = log?.get(records.offset(index))
      if (record !== undefined) this.#ended.push({ stream, record, outcome: batch.marks.outcomeOf(item) })
    }
  }

  async #pass(ms: number): Promise<void> {
    await this.#callsEnd()
    const end = this.#clock.now() + ms
    while (this.#clock.step(end)) await nextTurn()
  }

  async #finish(): Promise<void> {
    const end = this.#clock.now() + patienceMs
    let before = ''
    let isStuck = false
    for (;;) {
      for (let calm = 0; calm < turnsToCalm; calm++) {
        if (this.#failure !== undefined) throw this.#failure.error
        const missing = (await this.#missing()).join()
        if (missing === '') return
        if (missing !== before) {
          before = missing
          isStuck = false
          calm = 0
        }
        if (!isStuck && this.#isBusy()) {
          isStuck = !(await this.#callsEnd())
          calm = 0
        }
        await nextTurn()
      }
      if (!this.#clock.step(end)) throw new Error(`the plan does not come to its end: ${before}`)
    }
  }

  /** Waits for calls that are under way. False when there are none, or some seem to wait for time to pass. */
  async #callsEnd(): Promise<boolean> {
    if (!this.#isBusy()) return false
    const giveUpAt = performance.now() + callPatienceMs
    while (this.#isBusy() && performance.now() < giveUpAt) await nextTurn()
    return !this.#isBusy()
  }

  /** Partitions that are not committed to their ends. */
  async #missing(): Promise<readonly string[]> {
    const progress = await this.#store.readProgress(app)
    const positions = new Map(progress.map((row) => [`${row.source}/${row.partition}`, row.nextOffset]))
    const unsent = this.#store.outbox.emits.length
    const behind = [...this.#logs]
      .map(([input, log]) => ({ input, end: Math.max(...log.keys()) + 1, at: positions.get(input) ?? 0 }))
      .filter(({ at, end }) => at < end)
      .map(({ input, at, end }) => `${input} is at ${at} of ${end}`)
    return unsent === 0 ? behind : [...behind, `${unsent} records are in the outbox`]
  }
}
