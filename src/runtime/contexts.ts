/** The second argument of callbacks. A step's context is one object that reads the batch's cursor, so that a call costs none. */
import type {
  AsyncItemContext,
  GroupTrigger,
  ItemContext,
  ProcessContext,
  RunContext,
  ScopeViews,
} from '../core/context.ts'
import type { EmitOptions } from '../core/emit.ts'
import { PlanError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { RecordChunk, RecordView } from '../core/record.ts'
import type { Scope } from '../core/slot.ts'
import type { Batch } from './batch.ts'
import { answerOf, type CallMemory, type HeldEffects, noEffects } from './callMemory.ts'
import { itemOf, noItem } from './owner.ts'
import { ItemScope, SharedScope, slotsOf } from './scopes.ts'
import type { SlotValues } from './sharedScopes.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'
import { type Target, type Write, write } from './write.ts'

class LocatedRecord implements RecordView {
  readonly #chunk: RecordChunk
  readonly #index: number

  constructor(batch: Batch, item: number) {
    const { records, index } = batch.locate(item)
    this.#chunk = records
    this.#index = index
  }

  get topic() {
    return this.#chunk.topic
  }
  get partition() {
    return this.#chunk.partition
  }
  get offset() {
    return this.#chunk.offset(this.#index)
  }
  get timestamp() {
    return new Date(this.#chunk.timestamp(this.#index))
  }
  get key() {
    return this.#chunk.key(this.#index)
  }
  get value() {
    return this.#chunk.value(this.#index)
  }
  header(name: string) {
    return this.#chunk
      .headers(this.#index)
      .findLast((header) => header.key === name)
      ?.value?.toString()
  }
}

function recordOf(batch: Batch, owner: number, info: TaskInfo, step: string): RecordView {
  if (owner >= 0) return new LocatedRecord(batch, itemOf(owner))
  const derived = batch.owners.derivedOf(owner) !== undefined
  throw new PlanError('MR-CTX-RECORD', {
    what: `ctx.record was read ${derived ? 'for a result of a window' : 'in a group'}, which has no single record`,
    fix: derived ? 'Use what the result holds: ctx.records is empty.' : 'Use ctx.records: one for each member.',
    place: placeOf(info, batch, owner, step),
  })
}

function recordsOf(batch: Batch, owner: number): RecordView[] {
  return batch.owners.itemsOf(owner).map((item) => new LocatedRecord(batch, item))
}

/** A logger that adds where the current item stands. */
function positionedLogger(log: Logger, place: () => object): Logger {
  return {
    debug: (fields, message) => log.debug({ ...place(), ...fields }, message),
    info: (fields, message) => log.info({ ...place(), ...fields }, message),
    warn: (fields, message) => log.warn({ ...place(), ...fields }, message),
    error: (fields, message) => log.error({ ...place(), ...fields }, message),
  }
}

/** The context of one synchronous step: always that of the item in hand. */
export class StepContext implements ItemContext {
  readonly scope: ScopeViews
  readonly log: Logger
  protected readonly batch: Batch
  protected readonly info: TaskInfo
  protected readonly step: string

  constructor(batch: Batch, info: TaskInfo, step: string) {
    this.batch = batch
    this.info = info
    this.step = step
    const owner = () => this.owner()
    this.scope = {
      item: new ItemScope(() => slotsOf(batch, owner())),
      batch: new SharedScope(batch, 'batch', owner),
      context: new SharedScope(batch, 'context', owner),
    }
    this.log = positionedLogger(info.log, () => placeOf(info, batch, owner(), step))
  }

  get isReplay(): boolean {
    return this.batch.waiting !== undefined
  }
  get record(): RecordView {
    return recordOf(this.batch, this.owner(), this.info, this.step)
  }
  get records(): readonly RecordView[] {
    return recordsOf(this.batch, this.owner())
  }
  get trigger(): GroupTrigger | undefined {
    const owner = this.owner()
    return owner < 0 ? this.batch.owners.groupOf(owner).trigger : undefined
  }
  write(to: Target, value: unknown, options?: EmitOptions): void {
    write(this.batch, this.owner(), { to, value, options })
  }

  protected owner(): number {
    const { item } = this.batch
    if (item !== noItem) return item
    throw sealed(this.info, this.step)
  }
}

/** What a callback of a pipe needs beside its batch: one object for each callback that is asynchronous, and one for all that are not. */
export interface PipeCall {
  readonly memory: CallMemory
  readonly abortSignal: AbortSignal
  /** Fixed for one callback; undefined for whatever owner is in hand. */
  readonly owner: number | undefined
  /** Tells the calls of this callback from those of others that the owner has had: with another name, or for another of its values. */
  readonly id: string
}

/** The context of a pipe's callbacks. One with an owner of its own is sealed when its callback settles. */
export class PipeContext extends StepContext implements ProcessContext, RunContext {
  readonly abortSignal: AbortSignal
  readonly #memory: CallMemory
  #owner: number | undefined
  #id: string
  readonly #calls = new Map<string, number>()
  #callsOf = noItem
  #sealed = false

  constructor(batch: Batch, info: TaskInfo, step: string, { memory, abortSignal, owner, id }: PipeCall) {
    super(batch, info, step)
    this.abortSignal = abortSignal
    this.#memory = memory
    this.#owner = owner
    this.#id = id
  }

  get idempotencyKey(): string {
    return idempotencyKey(this.info, this.batch, this.owner(), this.step, this.batch.offsetsOf(this.owner()))
  }

  async call<Args extends unknown[], Result>(
    name: string,
    args: readonly [...Args],
    fn: (...args: NoInfer<Args>) => Promise<Result> | Result,
  ): Promise<Result> {
    const owner = this.owner()
    if (owner !== this.#callsOf) this.#calls.clear()
    this.#callsOf = owner
    const count = this.#calls.get(name) ?? 0
    this.#calls.set(name, count + 1)
    // Of a run of many items the first tells which run it is; which others there are, the arguments may tell.
    const [first] = this.batch.owners.membersOf(owner)
    const at = first === undefined ? '' : this.batch.offsetsOf(first)
    const key = `${this.step}/${this.#id}${name}/${count}`
    let known = this.#memory.recall(at, key, args)
    if (known === undefined) {
      known = { input: args, answer: await answerOf(() => fn(...args)), effects: noEffects }
      this.#memory.remember(at, key, known)
    }
    if ('thrown' in known.answer) throw known.answer.thrown
    return known.answer.value as Result
  }

  /** Ties the context to one callback, which goes on when others are in hand. */
  keepFor(owner: number, id: string): void {
    this.#owner = owner
    this.#id = id
  }

  /** Ends the context: a promise that was not awaited can do nothing through it any more. */
  seal(): void {
    this.#sealed = true
  }

  protected override owner(): number {
    if (this.#sealed) throw sealed(this.info, this.step)
    return this.#owner ?? super.owner()
  }
}

/** The context of one asynchronous call. Sealed when the callback settles, so that a forgotten promise cannot write into another item. */
export class CallContext implements AsyncItemContext {
  readonly scope: { readonly item: Scope }
  readonly log: Logger
  readonly abortSignal: AbortSignal
  readonly idempotencyKey: string
  readonly #batch: Batch
  readonly #info: TaskInfo
  readonly #step: string
  readonly #owner: number
  readonly #writes: Write[] = []
  readonly #slots: SlotValues
  #sealed = false

  constructor(
    batch: Batch,
    info: TaskInfo,
    call: { step: string; owner: number; id: string; abortSignal: AbortSignal },
  ) {
    this.#batch = batch
    this.#info = info
    this.#step = call.step
    this.#owner = call.owner
    this.#slots = new Map(batch.scopes.get(call.owner))
    this.abortSignal = call.abortSignal
    const place = placeOf(info, batch, call.owner, call.step)
    this.idempotencyKey = idempotencyKey(info, batch, call.owner, call.step, call.id)
    this.log = positionedLogger(info.log, () => place)
    this.scope = {
      item: new ItemScope(() => {
        this.#open()
        return this.#slots
      }),
    }
  }

  get isReplay(): boolean {
    this.#open()
    return this.#batch.waiting !== undefined
  }
  get record(): RecordView {
    this.#open()
    return recordOf(this.#batch, this.#owner, this.#info, this.#step)
  }
  get records(): readonly RecordView[] {
    this.#open()
    return recordsOf(this.#batch, this.#owner)
  }
  write(to: Target, value: unknown, options?: EmitOptions): void {
    this.#open()
    this.#writes.push({ to, value, options })
  }

  /** Ends the context and gives what it held. */
  seal(): HeldEffects {
    this.#sealed = true
    return { writes: this.#writes, slots: this.#slots }
  }

  #open(): void {
    if (this.#sealed) throw sealed(this.#info, this.#step)
  }
}

/** The same in every process, whatever batches are cut. */
function idempotencyKey(info: TaskInfo, batch: Batch, owner: number, step: string, id: string): string {
  const { topic, partition } = placeOf(info, batch, owner, step)
  return `${info.app}/${info.stream}/${step}/${topic}/${partition}/${id}`
}

function sealed(info: TaskInfo, step: string): PlanError {
  return new PlanError('MR-CTX-SEALED', {
    what: 'a ctx was used after its callback had ended',
    why: 'A promise that the callback did not await went on by itself, or ctx was kept for later.',
    fix: 'Await everything inside the callback; use mapAsync() for asynchronous work.',
    place: { stream: info.stream, step },
  })
}
