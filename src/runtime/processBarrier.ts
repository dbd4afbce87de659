/**
 * A pipe: all items of a run before, each item, all results after. It opens when the batch closes, so that `prepare` sees
 * all that the batch will commit.
 *
 * An item that falls in `process` is simply left out of what follows. The run is done again without it only where others may
 * show traces of it: when `prepare` chose or made something, when what it did to a scope was seen, or when `finish` has
 * used its result.
 */
import type { ProcessContext, RunContext } from '../core/context.ts'
import { PlanError } from '../core/errors.ts'
import type { Entries, Next, PipeCallbacks, PipeOperator } from '../core/operator.ts'
import { Outcome } from '../core/outcome.ts'
import { Signal, type SignalWatch, syncWatch, watchAsync } from '../core/signal.ts'
import { CollectingBarrier, EntryFeed } from './barriers.ts'
import type { Batch } from './batch.ts'
import type { Answer, CallMemory } from './callMemory.ts'
import { PipeContext } from './contexts.ts'
import { drive, type Feed } from './drive.ts'
import { Halving } from './halving.ts'
import { noItem } from './owner.ts'
import { givenItems, preparedEntries } from './prepared.ts'
import { isNoItemsFault, settle, swallowedSignal } from './settle.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'
import { timedAnswer } from './timedAnswer.ts'

interface PipeParts {
  readonly name: string
  readonly operator: PipeOperator<unknown, unknown>
  readonly memory: CallMemory
}

export class ProcessBarrier extends CollectingBarrier {
  readonly #parts: PipeParts

  constructor(batch: Batch, info: TaskInfo, next: Next<unknown>, parts: PipeParts) {
    super(batch, info, next)
    this.#parts = parts
  }

  override async run(closing: boolean): Promise<void> {
    if (!closing) return
    const entries = this.takeAll()
    if (entries.items.length === 0) return
    const run = new PipeRun(this.batch, this.info, this.#parts, entries.items)
    const prepared = await run.prepare(entries)
    if (prepared === undefined) return
    const results = await run.processAll(prepared)
    if (results === undefined || !(await run.finish(results))) return
    await drive(this.batch, this.info, new EntryFeed(results.values, results.items, this.next))
  }
}

/** One run of a pipe over the items of a batch. */
class PipeRun {
  readonly #batch: Batch
  readonly #info: TaskInfo
  readonly #parts: PipeParts
  readonly #callbacks: PipeCallbacks
  readonly #owners: readonly number[]
  /** All items of the run, as one owner: from `finish` on, those that stand. */
  #all: number

  constructor(batch: Batch, info: TaskInfo, parts: PipeParts, owners: readonly number[]) {
    this.#batch = batch
    this.#info = info
    this.#parts = parts
    this.#callbacks = parts.operator.begin()
    this.#owners = owners
    this.#all = batch.owners.openGroup(owners, undefined)
    // What the fields of a run's own object hold cannot be undone.
    if (parts.operator.isClass) batch.marks.join(this.#all)
  }

  /** The items to go on with; undefined when the batch has to be replayed or given up first. */
  async prepare(entries: Entries<unknown>): Promise<Entries<unknown> | undefined> {
    if (this.#callbacks.prepare === undefined) return entries
    const place = placeOf(this.#info, this.#batch, this.#all, this.#parts.name)
    let prepared: Entries<unknown> = { values: [], items: [] }
    const attempt = async (count: number) => {
      const given = givenItems(entries.values.slice(0, count))
      const answer = await this.#ask('prepare', (ctx) => this.#callbacks.prepare?.(given, ctx))
      if ('thrown' in answer) return answer
      try {
        const found = preparedEntries(answer.value, given, entries, place)
        if (!found.asGiven) this.#batch.marks.join(this.#all)
        prepared = found
        return answer
      } catch (thrown) {
        return { thrown }
      }
    }
    return (await this.#settled(entries.items, attempt)) ? prepared : undefined
  }

  /** The results; undefined when the batch has to be replayed or given up first. */
  async processAll(entries: Entries<unknown>): Promise<Entries<unknown> | undefined> {
    const feed = new ProcessFeed(this.#batch, this.#info, this.#parts, this.#callbacks, entries)
    for (let index = 0; ; ) {
      index = await drive(this.#batch, this.#info, feed, index)
      if (!(await feed.settlePending())) break
    }
    if (this.#hasToEnd) return undefined
    // A break, or an item that fell on another path, may have left some out.
    const standing = [...feed.owners.keys()].filter((at) => this.#stands(feed.owners[at] as number))
    return { values: standing.map((at) => feed.results[at]), items: standing.map((at) => feed.owners[at] as number) }
  }

  /** Whether the results go on. */
  async finish({ values, items }: Entries<unknown>): Promise<boolean> {
    if (this.#callbacks.finish === undefined) return true
    const standing = this.#owners.filter((owner) => this.#stands(owner))
    if (standing.length === 0) return true
    this.#all = this.#batch.owners.openGroup(standing, undefined)
    return this.#settled(items, (count) =>
      this.#ask('finish', (ctx) => this.#callbacks.finish?.(values.slice(0, count), ctx)),
    )
  }

  get #hasToEnd(): boolean {
    return this.#batch.interrupt !== undefined || this.#batch.falls.needReplay || this.#info.abandoned.aborted
  }

  #stands(owner: number): boolean {
    return this.#batch.standing(owner) !== undefined
  }

  /** Calls back for all items of the run at once. */
  async #ask(callback: 'prepare' | 'finish', call: (ctx: RunContext) => unknown): Promise<Answer> {
    const batch = this.#batch
    const controller = new AbortController()
    const { name, memory, operator } = this.#parts
    const owner = this.#all
    const ctx = new PipeContext(batch, this.#info, name, {
      memory,
      abortSignal: controller.signal,
      owner,
      id: `${callback}/`,
    })
    const before = batch.traces
    batch.item = owner
    batch.step = name
    const watch: SignalWatch = { raised: undefined }
    const timed = { batch, info: this.#info, owner, step: name, timeoutMs: operator.timeoutMs, controller }
    const answer = await timedAnswer(() => watchAsync(watch, () => call(ctx)), timed)
    ctx.seal()
    batch.item = noItem
    if (batch.traces !== before) batch.marks.join(owner)
    if ('thrown' in answer || watch.raised === undefined) return answer
    return { thrown: swallowedSignal(batch, owner, this.#info, watch, name) }
  }

  /**
   * Settles what became of a callback for all items: whether the run goes on. A signal acts on all of them; for a throw
   * the guilty one is found by calling back for fewer and fewer.
   *
   * @param owners whose values `attempt` calls back with, as many of them as it is told
   */
  async #settled(owners: readonly number[], attempt: (count: number) => Promise<Answer>): Promise<boolean> {
    const batch = this.#batch
    const answer = await attempt(owners.length)
    if (this.#info.abandoned.aborted) return false
    if ('value' in answer) return !this.#hasToEnd
    if (answer.thrown instanceof Signal || isNoItemsFault(answer.thrown)) {
      // Any of them may have been the reason.
      batch.marks.join(this.#all)
      settle(batch, this.#all, answer.thrown)
      return false
    }
    if (owners.length === 0) {
      batch.interruptWith({ kind: 'fatal', cause: this.#nobodysFault(answer.thrown), owner: this.#all })
      return false
    }
    const halving = new Halving(owners.length)
    let { thrown } = answer
    for (let count = halving.next; count !== undefined; count = halving.next) {
      const tried = await attempt(count)
      if (this.#hasToEnd) return false
      if ('thrown' in tried && !(tried.thrown instanceof Signal)) {
        thrown = tried.thrown
        halving.failed(count)
      } else halving.passed(count)
    }
    // The tries have left traces everywhere.
    batch.marks.join(this.#all)
    batch.step = this.#parts.name
    settle(batch, owners[halving.guilty] as number, thrown)
    return false
  }

  #nobodysFault(cause: unknown): PlanError {
    return new PlanError('MR-PROCESS-FINISH', {
      what: 'finish() threw when there was no result at all, so no item is to blame',
      fix: 'Let finish() do with an empty list.',
      place: placeOf(this.#info, this.#batch, this.#all, this.#parts.name),
      cause,
    })
  }
}

const isAsyncFunction = (callback: unknown) =>
  (callback as { readonly [Symbol.toStringTag]?: string })[Symbol.toStringTag] === 'AsyncFunction'

/** Items on their way through `process`, one at a time; the loop ends where one has to be waited for. */
class ProcessFeed implements Feed {
  readonly results: unknown[] = []
  readonly owners: number[] = []
  count: number
  readonly #batch: Batch
  readonly #info: TaskInfo
  readonly #parts: PipeParts
  readonly #callbacks: PipeCallbacks
  readonly #entries: Entries<unknown>
  /** For callbacks that end before the next begins: always that of the item in hand. */
  readonly #ctx: PipeContext
  /** Whether each call has a context of its own, which is sealed when it settles. */
  #isAsync: boolean
  /** The owner in hand, and which of its values: flatMap may have made several of one item. */
  #owner = noItem
  #ordinal = 0
  #pending: { readonly owner: number; readonly answer: Promise<Answer>; seal(): void } | undefined

  constructor(batch: Batch, info: TaskInfo, parts: PipeParts, callbacks: PipeCallbacks, entries: Entries<unknown>) {
    this.#batch = batch
    this.#info = info
    this.#parts = parts
    this.#callbacks = callbacks
    this.#entries = entries
    this.count = entries.items.length
    this.#isAsync = isAsyncFunction(callbacks.process)
    const { name, memory } = parts
    const abortSignal = info.abandoned
    this.#ctx = new PipeContext(batch, info, name, { memory, abortSignal, owner: undefined, id: '' })
  }

  ownerAt(index: number): number {
    return this.#entries.items[index] as number
  }

  feed(index: number, owner: number): void {
    this.#batch.step = this.#parts.name
    const value = this.#entries.values[index]
    this.#ordinal = owner === this.#owner ? this.#ordinal + 1 : 0
    this.#owner = owner
    if (this.#isAsync) {
      this.#begin(owner, (ctx) => this.#callbacks.process(value, ctx))
      this.count = index + 1
      return
    }
    const result = this.#callbacks.process(value, this.#ctx)
    if (isThenable(result)) {
      this.#isAsync = true
      this.#ctx.keepFor(owner, this.#callbackId)
      this.#begin(owner, () => result, this.#ctx)
      this.count = index + 1
    } else this.#take(owner, result)
  }

  /** Waits for the callback that ended the loop, if one did. */
  async settlePending(): Promise<boolean> {
    const pending = this.#pending
    if (pending === undefined) return false
    this.#pending = undefined
    const { owner } = pending
    const batch = this.#batch
    batch.item = owner
    const answer = await pending.answer
    pending.seal()
    batch.item = noItem
    this.count = this.#entries.items.length
    if (this.#info.abandoned.aborted) return false
    if ('value' in answer) this.#take(owner, answer.value)
    else {
      batch.step = this.#parts.name
      settle(batch, owner, answer.thrown)
    }
    return batch.interrupt === undefined
  }

  /** @param begun the context of a callback that has been begun already */
  #begin(owner: number, call: (ctx: ProcessContext) => unknown, begun?: PipeContext): void {
    const [batch, info] = [this.#batch, this.#info]
    const { name, memory, operator } = this.#parts
    const controller = new AbortController()
    const own = { memory, abortSignal: controller.signal, owner, id: this.#callbackId }
    const ctx = begun ?? new PipeContext(batch, info, name, own)
    // What had begun before it was known to be asynchronous has no watch of its own.
    const watch: SignalWatch = begun === undefined ? { raised: undefined } : syncWatch
    const timed = { batch, info, owner, step: name, timeoutMs: operator.timeoutMs, controller }
    const answer = timedAnswer(() => watchAsync(watch, () => call(ctx)), timed).then((given): Answer => {
      const { raised } = watch
      // A signal that an earlier call, which nobody waits for any more, has raised since is no item's.
      syncWatch.raised = undefined
      if ('thrown' in given || raised === undefined) return given
      return { thrown: swallowedSignal(batch, owner, info, { raised }, name) }
    })
    this.#pending = { owner, answer, seal: () => ctx.seal() }
  }

  get #callbackId(): string {
    return this.#ordinal === 0 ? '' : `${this.#ordinal}/`
  }

  #take(owner: number, result: unknown): void {
    if (result === undefined || result === null) this.#batch.marks.reach(owner, Outcome.done)
    else {
      this.results.push(result)
      this.owners.push(owner)
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
