/**
 * The store is where a batch commits: rows, collected items and progress in one transaction, or nothing.
 *
 * Guarantees of an implementation (tested by `test/contracts/store.ts`):
 * - `commit` is atomic, and fenced: it compares (version, owner) of every progress row before anything else and
 *   raises {@link FenceLostError} when another owner has claimed since, {@link FenceReleasedError} when the claim was taken away
 *   and nobody has it. It answers only when it knows the outcome:
 *   a connection that is lost during COMMIT is looked into on a new one.
 * - `commit` names the guilty: when rows are refused it throws {@link RowsRefused} for the first owner, in the order
 *   of `position`, whose prefix of the batch is refused. Nothing of the batch has then been committed.
 * - The collector takes any bytes and any text.
 * - State that is not as the batch knew it makes `commit` throw {@link StateStaleError}: the batch is then run again on what is there.
 */
import type { EmitRequest, Outbox } from './emit.ts'
import { StoreError, UnavailableError } from './errors.ts'
import type { Key } from './key.ts'
import type { LookupQuery } from './lookup.ts'
import type { RowBuffer, Sink } from './sink.ts'
import type { StateChanges, StateStore } from './stateStore.ts'
import type { TaskId } from './taskId.ts'

export type { TaskId } from './taskId.ts'

/** Progress of one input of a task. */
export interface SourceProgress {
  /** The step that reads: `from:flights`. */
  readonly source: string
  readonly nextOffset: number
  /** Recognises the last record taken, so that a recreated topic is noticed; null before the first. */
  readonly fingerprint: string | null
}

/** The right to commit for a task, until somebody else claims it. */
export interface Claim {
  readonly task: TaskId
  readonly owner: string
  /** Goes up by one in every transaction of the task. */
  version: number
  /** As committed last. */
  progress: readonly SourceProgress[]
  /** The task's error counters, as the runtime wrote them last; null before. */
  budget: string | null
  /** Set while the task must not run. */
  halted: Halt | null
  /** How far event time has come, as the runtime wrote it last; null before. */
  watermarks: string | null
}

/** Why a task must not run, and the plan for which that holds: another one may. */
export interface Halt {
  readonly reason: string
  /** A hash of the plan. */
  readonly plan: string
}

/** An item that failed, or that waits for one that did, as the collector keeps it. */
export interface CollectedItem {
  /** Where it fell: the task's stream, or one that depends on it or is triggered by it. */
  readonly stream: string
  /** The stream of the task that owns it. */
  readonly taskStream: string
  readonly step: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: Date | null
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
  readonly error: {
    readonly name: string
    readonly message: string
    readonly code: string | null
    readonly stack: string | null
  }
  /** Tries so far: none of an item that has only waited. */
  readonly attempts: number
  /** `open`: somebody has to look. `deferred`: it is tried again by itself. `parked`: it waits behind an earlier item of its key. */
  readonly state: 'open' | 'deferred' | 'parked'
  /** Milliseconds from now, on the store's clock, until a deferred item is tried again. */
  readonly retryInMs: number | null
  /** What outside calls have answered for it, for the next try. */
  readonly remembered: string | null
}

/** An item in the collector that its task is to run now. */
export interface WaitingItem {
  readonly id: string
  /** `replay`: somebody has asked for it. `deferred`: its time has come. `parked`: nothing of its key is before it any more. */
  readonly kind: 'replay' | 'deferred' | 'parked'
  /** Where it fell: only what it does there, and in what is triggered from there, counts from its second try on. */
  readonly stream: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: Date | null
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
  /** Tries so far. One without any has only waited: what it does anywhere counts. */
  readonly attempts: number
  readonly remembered: string | null
}

/** Items of a task that are not settled. */
export interface HeldItems {
  /** Their keys, as latin1 text: later items of these have to wait. */
  readonly keys: readonly string[]
  /** How many of them wait behind others. */
  readonly parked: number
}

/** What became of a waiting item. */
export interface Settlement {
  readonly id: string
  readonly outcome: 'done' | 'ignored' | 'failed'
  /** Of one that failed again: takes the place of the failure that is kept, which goes into the item's history. */
  readonly failure?: CollectedItem | undefined
}

/** What the rows of an owner were made of. */
export interface RowOrigin {
  /** One of the task's streams. */
  readonly stream: string
  /** Of the record; where several belong together, of each, in their order. */
  readonly offsets: readonly number[]
}

/**
 * An item whose run counts in one of the task's streams: it stands there, or it does not come there while the one stands that would
 * bring it.
 */
export interface StandingItem {
  /** Who stands: where this owner has no position, the item does not count. */
  readonly owner: number
  readonly stream: string
  readonly offset: number
}

/** Where the rows of a batch come from, for tables with `track`. */
export interface RowOrigins {
  /** The task's own stream. */
  readonly stream: string
  readonly topic: string
  /** The stream of an owner that is one item; undefined for others. */
  streamOf(owner: number): string | undefined
  /** The offset of an owner that is one item. */
  offsetOf(owner: number): number
  /** For any owner. Undefined for rows that no item has made. */
  of(owner: number): RowOrigin | undefined
  standing(): Iterable<StandingItem>
}

/** What was started as a stream. */
export interface StartedPlan {
  readonly stream: string
  /** Recognises it. */
  readonly hash: string
  /** Its steps as text. */
  readonly description: string
  /** Steps that give something else when an item comes later than it once did, with the reason. */
  readonly orderSteps: readonly string[]
}

/** Everything that a batch commits. */
export interface CommitRequest {
  readonly claim: Claim
  readonly progress: readonly SourceProgress[]
  readonly buffers: readonly RowBuffer[]
  /** Where an owner stands in offset order; undefined when the owner was undone and its rows must not be written. */
  position(owner: number): number | undefined
  /**
   * Where the rows of an owner are added to a table without a key, if not in offset order: those of a stream that others
   * depend on, of all items, come before theirs.
   */
  readonly order?: ((owner: number) => number) | undefined
  /** Whether every owner stands, and appended its rows in offset order: they may then be taken as they are. */
  readonly allInOrder: boolean
  /** Without it, rows of tables with `track` are written as if no item had made them. */
  readonly origins?: RowOrigins | undefined
  /**
   * Set when the items come late, or again: what those that stand have made before goes, in tables with `track`, and what
   * they make now takes its place; it never hides what later items have written.
   */
  readonly again?: boolean | undefined
  /** Set to learn whether the batch would be committed: everything is done but the commit, and nothing stands. */
  readonly isTrial?: boolean | undefined
  readonly collected: readonly CollectedItem[]
  /** Items of the collector that the batch has run. One that is gone or was settled by somebody else meanwhile is passed over. */
  readonly settled: readonly Settlement[]
  /** State that the batch has changed, for each step that has changed any. */
  readonly state?: readonly StateChanges[] | undefined
  /** What the batch emits: it goes into the outbox. */
  readonly emits?: EmitRequest | undefined
  /** How far event time has come; where it is not said, it stays. */
  readonly watermarks?: string | undefined
  /** Error counters of the task from now on. */
  readonly budget: string | null
  /** Set when the task must not run any more. */
  readonly halted: Halt | null
  /**
   * Lets the guilty item fall while the transaction stands, for a store that can go on there: `position` leaves it out from then on.
   * Undefined, when the batch has to be closed anew: `commit` throws what it was given then.
   */
  readonly refuse?: ((refused: RowsRefused) => AfterRefusal | undefined) | undefined
}

/** What a batch commits beside its rows, once an item has fallen. */
export type AfterRefusal = Pick<CommitRequest, 'collected' | 'settled' | 'budget'>

/** State in the store is not what the batch has read, or written last: somebody else has changed it. */
export class StateStaleError extends UnavailableError {}

/** The database refused the rows of `owner`; everything before it, in offset order, would have been accepted. */
export class RowsRefused extends Error {
  readonly owner: number
  readonly table: string
  readonly sqlstate: string
  /** True when the row clashes with other rows (unique, exclusion, foreign key): it may fit once an earlier item has fallen. */
  readonly clash: boolean
  constructor(refusal: { owner: number; table: string; sqlstate: string; clash: boolean; cause: Error }) {
    super(refusal.cause.message, { cause: refusal.cause })
    this.name = 'RowsRefused'
    this.owner = refusal.owner
    this.table = refusal.table
    this.sqlstate = refusal.sqlstate
    this.clash = refusal.clash
  }
}

/** The database refuses some of the keys that a query was asked with: they are no values of its column's type. */
export class KeysRefused extends StoreError {
  constructor(cause: Error) {
    super('MR-LOOKUP-KEY', { what: 'the database refuses a key', why: cause.message, cause })
  }
}

export interface Store {
  /** State of keyed steps. What a batch changes of it goes through `commit`. */
  readonly state: StateStore
  /** Emits that have committed and are perhaps not sent. */
  readonly outbox: Outbox
  /** Checks the surroundings and every sink, and makes what is missing of millrace's own tables. */
  open(sinks: readonly Sink<never>[]): Promise<void>
  /** Buffers for one task, one for each sink, in the order of `sinks`. */
  createBuffers(sinks: readonly Sink<never>[]): RowBuffer[]
  /** Progress of every task of an application, to see whether it is a first start. */
  readProgress(
    app: string,
  ): Promise<readonly (SourceProgress & { readonly stream: string; readonly partition: number })[]>
  /** Forgets the progress of every task of an application: of a run that is over and has no name. */
  removeProgress(app: string): Promise<void>
  /** Names of the sinks among `sinks` that hold rows already. */
  holdRows(sinks: readonly Sink<never>[]): Promise<readonly string[]>
  /**
   * Takes the task over from whoever has it: a new owner, the next version. Inputs without progress get the
   * given start, which is committed with the claim.
   */
  claim(task: TaskId, starts: readonly SourceProgress[]): Promise<Claim>
  /** Commits a batch and moves the claim's version on. */
  commit(request: CommitRequest): Promise<void>
  /**
   * Tasks of an application for which items were asked for, or have been put off until now. Asked about once a second by each
   * process, and so not about parked ones: a task looks for those by itself, when it begins and when it has settled something.
   */
  waitingTasks(app: string): Promise<readonly { readonly stream: string; readonly partition: number }[]>
  /**
   * The items that a task is to run now, in the order in which they have to run: by offset. A parked one comes with those
   * that it waits for, unless one of them has to go on waiting. There may be more: ask until there are none.
   */
  takeWaiting(claim: Claim, limit: number): Promise<readonly WaitingItem[]>
  /** What later items of a task have to wait behind. */
  held(task: TaskId): Promise<HeldItems>
  /** Notes what is started, for whoever looks at the collector later. */
  recordPlans(app: string, plans: readonly StartedPlan[]): Promise<void>
  /** Deletes items of the collector that were settled longer ago. Says how many. */
  pruneErrors(app: string, olderThanMs: number, limit: number): Promise<number>
  /**
   * The rows that a query gives for keys, as they are now. Without keys there are none, and the query is checked.
   *
   * @throws StoreError MR-LOOKUP-QUERY, MR-LOOKUP-COLUMN, MR-QUERY-COLUMNS where it can never be answered; {@link KeysRefused}; UnavailableError
   */
  lookup(query: LookupQuery<object>, keys: readonly Key[]): Promise<readonly object[]>
  close(): Promise<void>
}
