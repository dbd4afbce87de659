/** The second argument of callbacks. A step's context is one object that reads the batch's cursor, so that a call costs none. */
import type { AsyncItemContext, GroupTrigger, ItemContext } from '../core/context.ts'
import { PlanError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { RecordChunk, RecordView } from '../core/record.ts'
import type { Sink } from '../core/sink.ts'
import type { Scope, Slot } from '../core/slot.ts'
import { type Batch, noItem } from './batch.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'

class LocatedRecord implements RecordView {
  readonly #chunk: RecordChunk
  readonly #index: number

  constructor(batch: Batch, item: number) {
    const { chunk, index } = batch.locate(item)
    this.#chunk = chunk.input.records
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

/** Slots of one owner. */
class OwnerScope implements Scope {
  readonly #values: () => Map<Slot<unknown>, unknown>
  constructor(values: () => Map<Slot<unknown>, unknown>) {
    this.#values = values
  }
  get<T>(slot: Slot<T>): T {
    const values = this.#values()
    if (!values.has(slot)) values.set(slot, slot.initial())
    return values.get(slot) as T
  }
  set<T>(slot: Slot<T>, value: T): void {
    this.#values().set(slot, value)
  }
  update<T>(slot: Slot<T>, change: (value: T) => T): T {
    const value = change(this.get(slot))
    this.set(slot, value)
    return value
  }
}

function recordOf(batch: Batch, owner: number, info: TaskInfo, step: string): RecordView {
  if (owner >= 0) return new LocatedRecord(batch, owner)
  throw new PlanError('MR-CTX-RECORD', {
    what: 'ctx.record was read in a group, which has no single record',
    fix: 'Use ctx.records: one for each member.',
    place: placeOf(info, batch, owner, step),
  })
}

function recordsOf(batch: Batch, owner: number): RecordView[] {
  return batch.membersOf(owner).map((member) => new LocatedRecord(batch, member))
}

function slotsOf(batch: Batch, owner: number): Map<Slot<unknown>, unknown> {
  let values = batch.scopes.get(owner)
  if (values === undefined) {
    values = new Map()
    batch.scopes.set(owner, values)
  }
  return values
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
  readonly scope: { readonly item: Scope }
  readonly log: Logger
  readonly #batch: Batch
  readonly #info: TaskInfo
  readonly #step: string

  constructor(batch: Batch, info: TaskInfo, step: string) {
    this.#batch = batch
    this.#info = info
    this.#step = step
    this.scope = { item: new OwnerScope(() => slotsOf(batch, this.#owner())) }
    this.log = positionedLogger(info.log, () => placeOf(info, batch, this.#owner(), step))
  }

  get record(): RecordView {
    return recordOf(this.#batch, this.#owner(), this.#info, this.#step)
  }
  get records(): readonly RecordView[] {
    return recordsOf(this.#batch, this.#owner())
  }
  get trigger(): GroupTrigger | undefined {
    const owner = this.#owner()
    return owner < 0 ? this.#batch.groupOf(owner).trigger : undefined
  }
  write(sink: Sink<never>, row: object): void {
    this.#batch.bufferFor(sink).append(row, this.#owner())
  }

  #owner(): number {
    const { item } = this.#batch
    if (item !== noItem) return item
    throw sealed(this.#info, this.#step)
  }
}

/** What an asynchronous callback did besides answering; takes effect in the item's turn. */
export interface HeldEffects {
  readonly writes: readonly { readonly sink: Sink<never>; readonly row: object }[]
  readonly slots: ReadonlyMap<Slot<unknown>, unknown>
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
  readonly #writes: { sink: Sink<never>; row: object }[] = []
  readonly #slots: Map<Slot<unknown>, unknown>
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
    this.idempotencyKey = `${info.app}/${info.stream}/${call.step}/${place.topic}/${place.partition}/${call.id}`
    this.log = positionedLogger(info.log, () => place)
    this.scope = {
      item: new OwnerScope(() => {
        this.#open()
        return this.#slots
      }),
    }
  }

  get record(): RecordView {
    this.#open()
    return recordOf(this.#batch, this.#owner, this.#info, this.#step)
  }
  get records(): readonly RecordView[] {
    this.#open()
    return recordsOf(this.#batch, this.#owner)
  }
  write(sink: Sink<never>, row: object): void {
    this.#open()
    this.#writes.push({ sink, row })
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

function sealed(info: TaskInfo, step: string): PlanError {
  return new PlanError('MR-CTX-SEALED', {
    what: 'a ctx was used after its callback had ended',
    why: 'A promise that the callback did not await went on by itself, or ctx was kept for later.',
    fix: 'Await everything inside the callback; use mapAsync() for asynchronous work.',
    place: { stream: info.stream, step },
  })
}
