/** Barriers: steps that take all entries of a pass before anything behind them runs. */
import { type OperatorFunction, Subject, type Subscription } from 'rxjs'
import { messageOf, PlanError } from '../core/errors.ts'
import type { AsyncOperator, Next } from '../core/operator.ts'
import { Outcome } from '../core/outcome.ts'
import type { AsyncCalls } from './asyncCalls.ts'
import type { Batch } from './batch.ts'
import { drive, type Feed } from './drive.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'

export interface Barrier {
  /** Whether it has something that no batch has taken yet. */
  readonly hasLateValues: boolean
  take(value: unknown, owner: number): void
  /** Works off what was taken. `closing` says that the batch takes no more chunks. */
  run(closing: boolean): Promise<void>
  /** Forgets what was taken: the batch is replayed or given up. */
  reset(): void
  committed(): void
  close(): void
}

/** Values with owners, as a feed for the loop. */
export class EntryFeed implements Feed {
  readonly #values: readonly unknown[]
  readonly #owners: readonly number[]
  readonly #next: Next<unknown>
  constructor(values: readonly unknown[], owners: readonly number[], next: Next<unknown>) {
    this.#values = values
    this.#owners = owners
    this.#next = next
  }
  get count() {
    return this.#owners.length
  }
  ownerAt(index: number): number {
    return this.#owners[index] as number
  }
  feed(index: number, owner: number): void {
    this.#next(this.#values[index], owner)
  }
}

export abstract class CollectingBarrier implements Barrier {
  protected readonly batch: Batch
  protected readonly info: TaskInfo
  protected readonly next: Next<unknown>
  #values: unknown[] = []
  #owners: number[] = []

  constructor(batch: Batch, info: TaskInfo, next: Next<unknown>) {
    this.batch = batch
    this.info = info
    this.next = next
  }

  get hasLateValues(): boolean {
    return false
  }

  abstract run(closing: boolean): Promise<void>

  take(value: unknown, owner: number): void {
    this.#values.push(value)
    this.#owners.push(owner)
  }

  reset(): void {
    this.#values = []
    this.#owners = []
  }

  committed(): void {}

  close(): void {}

  /**
   * What was taken, in offset order, without owners that were undone meanwhile.
   *
   * @param placeOf where an owner stands; undefined for one to leave out
   */
  protected takeAll(placeOf = (owner: number) => this.batch.standing(owner)): { values: unknown[]; items: number[] } {
    const order = [...this.#owners.keys()]
      .map((index) => ({ index, position: placeOf(this.#owners[index] as number) }))
      .filter((entry): entry is { index: number; position: number } => entry.position !== undefined)
      .sort((a, b) => a.position - b.position)
    const values = order.map(({ index }) => this.#values[index])
    const items = order.map(({ index }) => this.#owners[index] as number)
    this.#values = []
    this.#owners = []
    return { values, items }
  }
}

/** Puts what comes from different stages back into offset order. */
export class MergeBarrier extends CollectingBarrier {
  override async run(): Promise<void> {
    const { values, items } = this.takeAll((owner) => this.batch.goingOn(owner))
    await drive(this.batch, this.info, new EntryFeed(values, items, this.next))
  }
}

/** An asynchronous operator. */
export class AsyncBarrier extends CollectingBarrier {
  readonly #operator: AsyncOperator<unknown, unknown>
  readonly #calls: AsyncCalls
  constructor(
    batch: Batch,
    info: TaskInfo,
    next: Next<unknown>,
    operator: AsyncOperator<unknown, unknown>,
    calls: AsyncCalls,
  ) {
    super(batch, info, next)
    this.#operator = operator
    this.#calls = calls
  }

  override async run(): Promise<void> {
    const entries = this.takeAll((owner) => this.batch.goingOn(owner))
    this.#calls.begin(entries.items)
    const answered = await this.#operator.run(entries, this.#calls)
    if (this.info.abandoned.aborted) return
    this.#calls.applyEffects()
    if (this.batch.interrupt !== undefined) return
    await drive(this.batch, this.info, new EntryFeed(answered.values, answered.items, this.next))
  }
}

/**
 * Any RxJS operator. Values are sent when the batch closes, so that an item that fell before is never seen by RxJS;
 * what comes back has no item, and is kept until a batch that held it has committed.
 */
export class RxBarrier extends CollectingBarrier {
  readonly #input = new Subject<unknown>()
  readonly #subscription: Subscription
  readonly #name: string
  readonly #sent = new Set<string>()
  #given: unknown[] = []
  #handedOn = 0
  #failure: PlanError | undefined
  /** Resolves when the operator gives nothing any more. */
  readonly #ended: Promise<void>

  constructor(
    batch: Batch,
    info: TaskInfo,
    next: Next<unknown>,
    { rx, name, wake }: { rx: OperatorFunction<unknown, unknown>; name: string; wake: () => void },
  ) {
    super(batch, info, next)
    this.#name = name
    let end = () => {}
    this.#ended = new Promise((resolve) => {
      end = resolve
    })
    this.#subscription = this.#input.pipe(rx).subscribe({
      complete: () => end(),
      next: (value) => {
        this.#given.push(value)
        wake()
      },
      error: (cause: unknown) => {
        this.#failure = new PlanError('MR-RX-ERROR', {
          what: 'the RxJS operator ended with an error, and gives nothing any more',
          why: messageOf(cause),
          fix: 'Catch errors inside pipe(…), for example with catchError or retry.',
          place: { stream: info.stream, step: name },
          cause,
        })
        end()
        wake()
      },
    })
  }

  override get hasLateValues(): boolean {
    return this.#failure !== undefined || this.#handedOn < this.#given.length
  }

  override async run(closing: boolean): Promise<void> {
    const { batch } = this
    if (closing) {
      const { values, items } = this.takeAll()
      let ordinal = 0
      for (const [index, owner] of items.entries()) {
        batch.marks.reach(owner, Outcome.done)
        ordinal = index > 0 && items[index - 1] === owner ? ordinal + 1 : 0
        // A replay passes here again, and after a cut the next batch does; RxJS is told of each value once.
        const id = `${batch.offsetsOf(owner)}/${ordinal}`
        if (this.#sent.has(id)) continue
        this.#sent.add(id)
        this.info.cursor.enter(() => placeOf(this.info, batch, owner, this.#name))
        this.#input.next(values[index])
        this.info.cursor.leave()
      }
      if (batch.isLast) await this.#giveAll()
    }
    if (this.#failure !== undefined) return batch.interruptWith({ kind: 'fatal', cause: this.#failure })
    const fresh = this.#given.slice(this.#handedOn)
    this.#handedOn = this.#given.length
    const owners = fresh.map(() => batch.owners.openGroup([], undefined))
    await drive(batch, this.info, new EntryFeed(fresh, owners, this.next))
  }

  /** Nothing comes behind: what the operator holds belongs to this batch. */
  async #giveAll(): Promise<void> {
    this.#input.complete()
    const { abandoned } = this.info
    await new Promise<void>((resolve) => {
      if (abandoned.aborted) return resolve()
      abandoned.addEventListener('abort', () => resolve(), { once: true })
      void this.#ended.then(resolve)
    })
  }

  override reset(): void {
    super.reset()
    this.#handedOn = 0
  }

  override committed(): void {
    // Not all of it: RxJS may have given more while the commit was under way.
    this.#given.splice(0, this.#handedOn)
    if (this.batch.left === 0) this.#sent.clear()
  }

  override close(): void {
    this.#subscription.unsubscribe()
  }
}
