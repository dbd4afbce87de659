/**
 * Turns a stream's steps into what runs: for each task one RxJS pipeline whose values are passes over chunks.
 *
 * Steps between two barriers are attached back to front into one function (the entry of a stage), so an item goes
 * through them by plain calls. A barrier (mapAsync, pipe, a merge of what ran at different times) takes all
 * entries of the pass before anything behind it runs.
 */
import { concatMap, identity, lastValueFrom, type OperatorFunction, of } from 'rxjs'
import type { FlushHooks, Next } from '../core/operator.ts'
import { syncWatch } from '../core/signal.ts'
import type { StateChanges, StateStore } from '../core/stateStore.ts'
import type { Claim } from '../core/store.ts'
import { keyTextOf } from './applyPolicy.ts'
import { attachPlan, type Stage } from './attach.ts'
import type { Batch, BatchChunk } from './batch.ts'
import type { CallMemory } from './callMemory.ts'
import { drive, type Feed } from './drive.ts'
import { KeyedBarrier } from './keyedBarrier.ts'
import { patiently } from './patience.ts'
import type { StateReader } from './stateTable.ts'
import { currentPlace, type TaskInfo } from './taskInfo.ts'
import type { TaskPlan } from './taskStreams.ts'

/** One trip through the graph: with the records of a chunk, or to hand on what is held because the batch closes. */
export type Pass = { readonly kind: 'chunk'; readonly chunk: BatchChunk } | { readonly kind: 'flush' }

/** Cells that are due and are read at once. */
const maxDueRead = 10_000

export class Graph {
  readonly #batch: Batch
  readonly #info: TaskInfo
  readonly #stages: readonly Stage[]
  readonly #keyed: readonly KeyedBarrier[]
  readonly #pipeline: OperatorFunction<Pass, Pass>
  readonly #source: ChunkFeed
  /** Whether rows come out in offset order and one by one, in one stage that holds nothing back. */
  readonly itemwise: boolean

  /** @param wake called when RxJS gives something back while no pass is under way */
  constructor(plan: TaskPlan, batch: Batch, info: TaskInfo, memory: CallMemory, wake: () => void) {
    this.#batch = batch
    this.#info = info
    const { entries, stages: attached } = attachPlan(plan, batch, info, memory, wake)
    this.#stages = attached
    this.#source = new ChunkFeed(batch, entries)
    this.#keyed = attached.flatMap(({ barrier }) => (barrier instanceof KeyedBarrier ? [barrier] : []))
    this.itemwise = this.#stages.length === 1 && this.#stages[0]?.flushHooks.length === 0
    const stages = this.#stages.map((stage) => concatMap((pass: Pass) => this.#runStage(stage, pass)))
    this.#pipeline = stages.reduce<OperatorFunction<Pass, Pass>>(
      (before, stage) => (passes) => passes.pipe(before, stage),
      identity,
    )
  }

  run(pass: Pass): Promise<Pass> {
    return lastValueFrom(of(pass).pipe(this.#pipeline))
  }

  /** When the oldest open group has to be handed on. */
  deadline(): number | undefined {
    let earliest: number | undefined
    for (const hooks of this.#allHooks()) {
      const deadline = hooks.deadline()
      if (deadline !== undefined && (earliest === undefined || deadline < earliest)) earliest = deadline
    }
    return earliest
  }

  /** Whether RxJS has given back something that no batch has taken yet. */
  get hasLateValues(): boolean {
    return this.#stages.some(({ barrier }) => barrier?.hasLateValues)
  }

  /** Forgets what the pass before held: the batch is replayed or given up. */
  reset(): void {
    for (const hooks of this.#allHooks()) hooks.reset()
    for (const { barrier } of this.#stages) barrier?.reset()
  }

  /** Whether a step keeps state, and so may have something that is due. */
  get keepsState(): boolean {
    return this.#keyed.length > 0
  }

  /** State that the batch has changed. */
  stateChanges(): StateChanges[] {
    return this.#keyed.flatMap((barrier) => barrier.changes() ?? [])
  }

  /** How far event time has come, by step, as it is kept with progress; undefined where no step has one. */
  watermarks(): string | undefined {
    if (this.#keyed.length === 0) return undefined
    const newest = this.#keyed.map(({ name, newest }) => [name, newest] as const)
    return JSON.stringify(Object.fromEntries(newest.filter(([, time]) => Number.isFinite(time))))
  }

  /** Values that came too late, or their shares in windows, in the open batch. */
  get late(): number {
    return this.#keyed.reduce((sum, { lateCount }) => sum + lateCount, 0)
  }

  /** Looks at what the store has of the state of a task that was claimed. */
  async openState(store: StateStore, { task, watermarks }: Claim): Promise<void> {
    const newest = JSON.parse(watermarks ?? '{}') as Readonly<Record<string, number>>
    for (const barrier of this.#keyed) {
      const of = { task, step: barrier.name }
      const reader: StateReader = {
        read: (keys) => patiently(this.#info, () => store.read(of, keys)),
        readDue: (upTo, after) => patiently(this.#info, () => store.readDue(of, { upTo, after, limit: maxDueRead })),
      }
      barrier.bind(reader, await store.extent(of), newest[barrier.name])
    }
  }

  /** What is in memory of state is not what the store has. */
  forgetState(): void {
    for (const barrier of this.#keyed) barrier.forget()
  }

  committed(): void {
    for (const { barrier } of this.#stages) barrier?.committed()
    this.reset()
  }

  close(): void {
    for (const { barrier } of this.#stages) barrier?.close()
  }

  *#allHooks(): Iterable<FlushHooks> {
    for (const { flushHooks } of this.#stages) yield* flushHooks
  }

  async #runStage({ barrier, flushHooks }: Stage, pass: Pass): Promise<Pass> {
    if (this.#batch.interrupt !== undefined || this.#info.abandoned.aborted) return pass
    if (barrier !== undefined) await barrier.run(pass.kind === 'flush')
    else if (pass.kind === 'chunk') {
      const passed = await drive(this.#batch, this.#info, this.#source.of(pass.chunk))
      this.#batch.passed = pass.chunk.base + passed
    }
    if (pass.kind === 'flush') {
      const now = this.#info.clock.now()
      syncWatch.raised = undefined
      this.#info.cursor.enter(() => currentPlace(this.#info, this.#batch))
      for (const hooks of flushHooks) if (this.#batch.interrupt === undefined) hooks.flush(now)
      this.#info.cursor.leave()
    }
    return pass
  }
}

/** Records of a chunk, decoded as the loop reaches them. */
class ChunkFeed implements Feed {
  count = 0
  readonly #batch: Batch
  readonly #entries: readonly Next<unknown>[]
  #chunk: BatchChunk | undefined

  /** @param entries take the values of the task's inputs */
  constructor(batch: Batch, entries: readonly Next<unknown>[]) {
    this.#batch = batch
    this.#entries = entries
  }

  of(chunk: BatchChunk): this {
    this.#chunk = chunk
    this.count = chunk.size
    return this
  }

  ownerAt(index: number): number {
    return (this.#chunk as BatchChunk).base + index
  }

  feed(index: number, owner: number): void {
    const chunk = this.#chunk as BatchChunk
    const at = chunk.first + index
    const { index: entry, step, source } = chunk.input.inputOf(at)
    this.#batch.step = step
    const { held } = this.#batch
    if (held.size > 0 && this.#waits(owner)) {
      this.#batch.falls.fall(owner, { kind: 'parked' })
      return
    }
    const value = chunk.input.take(at)
    if (value !== null || source.tombstones === 'pass') this.#entries[entry]?.(value, owner)
  }

  /** Whether an item of an earlier batch with the same key has not come to an end. */
  #waits(item: number): boolean {
    if (this.#batch.waiting !== undefined) return false
    const key = keyTextOf(this.#batch, item)
    return key !== null && this.#batch.held.has(key)
  }
}
