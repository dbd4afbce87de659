/**
 * One running copy of a stream for one partition number of its inputs.
 *
 * States, and who may leave them:
 *
 *     claiming ──► waiting ──► filling ──► committing ──► waiting
 *                     │           │            │
 *                     │           └── retrying ┘   (an error, the database away: the same batch again)
 *                     ├──► paused ──► waiting      (a break that says when to go on)
 *                     ├──► parked                  (a break that does not)
 *                     └──► ended                   (drained, or abandoned: the partition was taken away)
 *
 * No callback of the next batch runs before this commit is known; only decoding does. Nothing here is shared between
 * tasks but the budget and the store, so one that fails or waits holds up no other.
 */
import { setMaxListeners } from 'node:events'
import { type Clock, sleep } from '../core/clock.ts'
import type { TopicWriter } from '../core/emit.ts'
import { HaltedError } from '../core/errors.ts'
import type { Sink } from '../core/sink.ts'
import type { AssignedPartition, TopicPartition } from '../core/source.ts'
import type { Claim, SourceProgress, Store } from '../core/store.ts'
import { hasTooManyParked, keyTextOf } from './applyPolicy.ts'
import { Batch } from './batch.ts'
import type { Budget } from './budget.ts'
import { CallMemory } from './callMemory.ts'
import { checkPosition } from './checkPosition.ts'
import { type BatchEnd, closeBatch } from './closeBatch.ts'
import { type CloseReason, type CommitReport, closeReasonOf, type InputPosition } from './commitReport.ts'
import { EmitBuffer } from './emitBuffer.ts'
import { type CommitLimits, Filling } from './filling.ts'
import { Graph } from './graph.ts'
import { type Inbox, PartitionInbox } from './inbox.ts'
import { MergedInbox } from './mergedInbox.ts'
import { Relay } from './relay.ts'
import { ownInput, type TaskInfo } from './taskInfo.ts'
import type { TaskPlan } from './taskStreams.ts'
import { waitingChunks } from './waitingChunks.ts'
import { WriteSet } from './writeSet.ts'

export interface TaskSettings {
  readonly plan: TaskPlan
  readonly sinks: readonly Sink<never>[]
  readonly info: Omit<TaskInfo, 'abandoned'>
  readonly store: Store
  /** Where emits are sent. */
  readonly writer: TopicWriter
  /** Of each input, in their order: all of the same number. */
  readonly partitions: readonly AssignedPartition[]
  readonly budget: Budget
  readonly limits: CommitLimits
  /** Where to start an input when there is no progress. */
  readonly start: (partition: AssignedPartition) => Promise<number>
  readonly onCommit: (report: CommitReport) => void
  /** Called at every change of the task's state. */
  readonly onChange: () => void
  /** Given the batch after its commit and before it is dropped: for test drivers, which want the outcome of every item. */
  readonly onBatch?: ((batch: Batch, end: BatchEnd) => void) | undefined
}

/** How often a partition in which too many items wait looks whether they still do. */
const lookAtParkedMs = 10_000

/** How long after an item has come to wait the task looks whether it has to: what it waits for may be settled by somebody else. */
const lookBehindMs = 1_000

/** Items of the collector that are run in one batch at most. */
const maxWaitingItems = 1_000

export type TaskState = 'claiming' | 'waiting' | 'filling' | 'committing' | 'retrying' | 'paused' | 'parked' | 'ended'

export class Task {
  readonly #settings: TaskSettings
  readonly #info: TaskInfo
  readonly #batch: Batch
  readonly #graph: Graph
  readonly #memory = new CallMemory()
  readonly #relay: Relay
  readonly #abandon = new AbortController()
  #inbox: Inbox | undefined
  #claim: Claim | undefined
  #state: TaskState = 'claiming'
  #draining = false
  /** Whether the batch is being filled or committed. */
  #open = false
  readonly #filling: Filling
  #listeners: (() => void)[] = []
  readonly #timers = new Set<() => void>()
  /** Whether items in the collector wait for this task, as far as it has been told. */
  #isAwaited = false
  /** Whether the task will look by itself whether those that wait have to. */
  #looksBehind = false
  /** Event time that has come without any record, in milliseconds. */
  #timeAtLeast: number | undefined

  constructor(settings: TaskSettings) {
    this.#settings = settings
    this.#info = { ...settings.info, abandoned: this.#abandon.signal }
    // Every asynchronous call listens to it while it runs; Node takes more than ten for a leak.
    setMaxListeners(0, this.#abandon.signal)
    const { store, sinks, writer } = settings
    const emits = new EmitBuffer((topic) => writer.shapeOf(topic))
    this.#batch = new Batch(new WriteSet(store.createBuffers(sinks), emits), settings.plan.streams)
    const { app, stream, partition } = this.#info
    this.#relay = new Relay({
      ...{ info: this.#info, task: { app, stream, partition }, writer, outbox: store.outbox },
      onChange: () => this.#changed(),
    })
    this.#graph = new Graph(settings.plan, this.#batch, this.#info, this.#memory, () => this.#changed())
    this.#filling = new Filling({
      ...{ batch: this.#batch, graph: this.#graph, info: this.#info, limits: settings.limits, ends: this.#ends },
      isStopping: () => this.#stopping,
      until: async (ready) => {
        await this.#until(ready)
        this.#enter('filling')
      },
      changed: () => this.#changed(),
    })
    for (const { revoked } of settings.partitions) {
      if (revoked.aborted) this.#abandon.abort()
      else revoked.addEventListener('abort', () => this.abandon(), { once: true })
    }
  }

  get partitions(): readonly AssignedPartition[] {
    return this.#settings.partitions
  }

  /** Whether it reads a partition. */
  reads({ topic, partition }: TopicPartition): boolean {
    return this.partitions.some((own) => own.topic === topic && own.partition === partition)
  }

  get stream(): string {
    return this.#info.stream
  }

  /** The number of its partitions. */
  get partition(): number {
    return this.#info.partition
  }

  isOf(stream: string, partition: number): boolean {
    return this.#info.stream === stream && this.#info.partition === partition
  }

  get state(): TaskState {
    return this.#state
  }

  /** The position that has been committed of an input. */
  committedTo(topic: string): number | undefined {
    const input = this.#info.inputs.find(({ source }) => source.name === topic)
    return this.#claim?.progress.find(({ source }) => source === input?.step)?.nextOffset
  }

  /** The position up to which records of an input have been fetched. */
  fetchedTo(topic: string): number | undefined {
    return this.#inbox?.fetched.find((fetched) => fetched.topic === topic)?.fetchedTo
  }

  /** Whether records that have committed are on their way to topics. */
  get isSending(): boolean {
    return this.#relay.isBusy
  }

  /** Whether nothing happens until a record comes or time passes: everything fetched was taken, or has to wait. */
  get isIdle(): boolean {
    const inbox = this.#inbox
    if ((this.#isAwaited || this.#timeAtLeast !== undefined) && this.#state !== 'retrying') return false
    if (this.#relay.isBusy) return false
    if (this.#state === 'waiting') {
      const taken = this.#open ? this.#batch.chunks.length : 0
      return inbox !== undefined && inbox.chunks.length <= taken && (this.#open || !this.#graph.hasLateValues)
    }
    return this.#state === 'parked' || this.#state === 'paused' || this.#state === 'retrying'
  }

  /** Works until it is told to stop, or fails. A task that lost its fence or its partition ends without an error of its own. */
  async run(): Promise<void> {
    try {
      await this.#claimProgress()
      const inbox = this.#inbox
      if (inbox === undefined) return
      while (!this.#stopping) {
        await this.#until(
          () =>
            inbox.chunks.length > 0 ||
            this.#graph.hasLateValues ||
            inbox.failure !== undefined ||
            this.#relay.failure !== undefined ||
            inbox.ended ||
            this.#timeAtLeast !== undefined ||
            this.#isAwaited,
        )
        if (inbox.failure !== undefined) throw inbox.failure
        if (this.#relay.failure !== undefined) throw this.#relay.failure.error
        if (this.#stopping) break
        this.#open = true
        if (this.#isAwaited) await this.#runWaiting()
        else if (this.#timeAtLeast !== undefined) await this.#runTime(this.#timeAtLeast)
        else await this.#runBatch(inbox)
        this.#open = false
      }
      await this.#relay.end()
    } finally {
      this.#inbox?.close()
      this.#graph.close()
      this.#relay.close()
      for (const cancel of this.#timers) cancel()
      this.#enter('ended')
    }
  }

  /** Finishes the open batch, and ends. */
  drain(): void {
    this.#draining = true
    this.#changed()
  }

  /** Tells that items in the collector wait for this task: it runs them between two batches. */
  lookForWaiting(): void {
    this.#isAwaited = true
    this.#changed()
  }

  /** Event time has come to a point, in milliseconds, without a record that says so: what is due by then is worked off. */
  advanceTime(time: number): void {
    if (!this.#graph.keepsState) return
    this.#timeAtLeast = Math.max(time, this.#timeAtLeast ?? time)
    this.#changed()
  }

  /** Ends without committing what is open. */
  abandon(): void {
    this.#abandon.abort()
    this.#changed()
  }

  /** Resolves when the condition holds; it is looked at whenever the task changes its state. */
  async when(condition: (task: Task) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#listeners.push(resolve))
  }

  /** Whether the input has an end. */
  get #ends(): boolean {
    return this.#settings.partitions[0]?.ends === true
  }

  get #stopping(): boolean {
    return this.#draining || this.#abandon.signal.aborted
  }

  #enter(state: TaskState): void {
    this.#state = state
    this.#changed()
  }

  #changed(): void {
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
    this.#settings.onChange()
  }

  async #until(ready: () => boolean): Promise<void> {
    this.#enter('waiting')
    await this.when(() => ready() || this.#stopping)
  }

  async #claimProgress(): Promise<void> {
    const { store, info, partitions, start } = this.#settings
    const task = { app: info.app, stream: info.stream, partition: info.partition }
    const begins: SourceProgress[] = []
    for (const { index, step } of info.inputs) {
      const nextOffset = await start(partitions[index] as AssignedPartition)
      begins.push({ source: step, nextOffset, fingerprint: null })
    }
    if (this.#stopping) return
    this.#claim = await store.claim(task, begins)
    await this.#relay.recover()
    this.#mindHalt(this.#claim)
    await this.#graph.openState(store.state, this.#claim)
    await this.#holdKeys()
    // Whoever had the task before may have settled an item and not come to those that were parked behind it.
    this.#isAwaited = true
    this.#inbox = await this.#openInbox(this.#claim)
    const from = this.#inbox.fetched.map(({ fetchedTo }) => fetchedTo)
    info.log.info(
      { stream: info.stream, partition: info.partition, from: from.length === 1 ? from[0] : from },
      'reading',
    )
  }

  /** Begins to read where the claim says. */
  async #openInbox({ progress }: Claim): Promise<Inbox> {
    const { info, partitions, budget } = this.#settings
    const begun = []
    for (const input of info.inputs) {
      const partition = partitions[input.index] as AssignedPartition
      const at = progress.find(({ source }) => source === input.step) as SourceProgress
      const { end } = await checkPosition(partition, at, info.stream)
      begun.push({ input, partition, position: at.nextOffset, endOffset: end })
    }
    let merged: MergedInbox | undefined
    const changed = () => {
      merged?.merge()
      this.#changed()
    }
    for (const { partition, position } of begun) partition.hint(position)
    const inboxes = begun.map((one) => ({ ...one, inbox: new PartitionInbox({ ...one, budget, changed }) }))
    const [only] = inboxes
    if (only !== undefined && inboxes.length === 1) return only.inbox
    merged = new MergedInbox(inboxes)
    return merged
  }

  /** A plan that was halted does not run; another one begins with a clean sheet. */
  #mindHalt(claim: Claim): void {
    if (claim.halted === null) return
    if (claim.halted.plan === this.#info.planHash) throw this.#halted(claim.halted.reason)
    claim.halted = null
    claim.budget = null
  }

  /** Items of keys that have one in the collector wait behind it. */
  async #holdKeys(): Promise<void> {
    if (!this.#info.policy.park) return
    const { keys, parked } = await this.#settings.store.held((this.#claim as Claim).task)
    this.#batch.held = new Set(keys)
    this.#batch.parkedBefore = parked
  }

  async #runBatch(inbox: Inbox): Promise<void> {
    const { clock, log } = this.#info
    const batch = this.#batch
    this.#enter('filling')
    batch.open(clock.now())
    this.#graph.reset()
    const reason = await this.#filling.fill(inbox)
    if (this.#abandon.signal.aborted) return
    let ended = false
    const ahead = this.#decodeAhead(inbox, () => ended)
    const end = await this.#close().finally(() => {
      ended = true
    })
    await ahead
    if (end === undefined) return
    this.#settings.onBatch?.(batch, end)
    this.#report(end, reason)
    this.#holdFallen()
    this.#comeBack()
    inbox.consume(batch)
    batch.committed()
    if (batch.left === 0) this.#memory.clear()
    this.#graph.committed()
    this.#filling.committed(end)
    if (end.halted !== undefined) throw this.#halted(end.halted)
    const isUsedUp = batch.isLast && inbox.ended && inbox.chunks.length === 0
    if (this.#ends && (end.broke !== undefined || isUsedUp)) this.#draining = true
    if (end.broke !== undefined) {
      log.warn({ ...end.broke, stream: this.#info.stream, partition: this.#info.partition }, 'broken off')
      await this.#pause(end.broke.resumeAfterMs, clock)
    }
  }

  #close(): Promise<BatchEnd | undefined> {
    this.#enter('committing')
    return closeBatch({
      batch: this.#batch,
      graph: this.#graph,
      info: this.#info,
      store: this.#settings.store,
      claim: this.#claim as Claim,
      memory: this.#memory,
      relay: this.#relay,
      settled: () => this.#abandon.signal.aborted,
      retrying: (waits) => this.#enter(waits ? 'retrying' : 'committing'),
    })
  }

  /** Runs items that come from the collector, in a batch of their own: what becomes of them is settled with it. */
  async #runWaiting(): Promise<void> {
    const { clock } = this.#info
    const batch = this.#batch
    this.#isAwaited = false
    const atMost = this.#filling.atMost(maxWaitingItems)
    const items = await this.#settings.store.takeWaiting(this.#claim as Claim, atMost)
    if (items.length === 0) return this.#holdKeys()
    this.#enter('filling')
    batch.open(clock.now(), items)
    this.#graph.reset()
    const chunks = waitingChunks(this.#info, items).map((input) => batch.add(input, input.size))
    for (const [item, { remembered }] of items.entries()) {
      if (remembered !== null) this.#memory.unpack(batch.offsetsOf(item), remembered)
    }
    for (const chunk of chunks) await this.#graph.run({ kind: 'chunk', chunk })
    const end = await this.#close()
    if (end === undefined) return
    this.#settings.onBatch?.(batch, end)
    this.#report(end, 'waiting')
    this.#graph.committed()
    if (batch.left === 0) this.#memory.clear()
    this.#comeBack()
    await this.#holdKeys()
    // There may be more of them than were handed out, and some that were parked behind one that has now ended.
    this.#isAwaited = true
  }

  /** A batch without items, in which only time goes on. */
  async #runTime(time: number): Promise<void> {
    const batch = this.#batch
    this.#timeAtLeast = undefined
    this.#enter('filling')
    batch.open(this.#info.clock.now())
    batch.timeAtLeast = time
    this.#graph.reset()
    const end = await this.#close()
    if (end === undefined) return
    this.#settings.onBatch?.(batch, end)
    this.#report(end, 'time')
    this.#graph.committed()
  }

  /** Looks for the items that the batch has put off when their time has come. */
  #comeBack(): void {
    for (const { fall } of this.#batch.fallen()) {
      if (fall.kind === 'deferred') this.#after(fall.retryInMs, () => this.lookForWaiting())
    }
  }

  /** Items have come to wait behind those of earlier batches, as far as the task knows of them. */
  #lookBehind(): void {
    if (this.#looksBehind) return
    this.#looksBehind = true
    this.#after(lookBehindMs, () => {
      this.#looksBehind = false
      this.lookForWaiting()
    })
  }

  /** Calls back later, unless the task has ended by then. */
  #after(ms: number, callback: () => void): void {
    const cancel = this.#info.clock.schedule(ms, () => {
      this.#timers.delete(cancel)
      callback()
    })
    this.#timers.add(cancel)
  }

  /** Items that have failed in the batch hold up their keys from now on. */
  #holdFallen(): void {
    if (!this.#info.policy.park) return
    const held = new Set(this.#batch.held)
    for (const { item, fall } of this.#batch.fallen()) {
      const key = fall.kind === 'ignored' ? null : keyTextOf(this.#batch, item)
      if (fall.kind === 'parked') {
        this.#batch.parkedBefore++
        if (key !== null && this.#batch.held.has(key)) this.#lookBehind()
      }
      if (key !== null) held.add(key)
    }
    this.#batch.held = held
  }

  #halted(reason: string): HaltedError {
    const { app, stream, partition } = this.#info
    return new HaltedError('MR-HALTED', {
      what: `stream "${stream}" is halted: ${reason}`,
      why: 'Its error budget is used up; going on could move the whole topic into the error collector.',
      fix: `See what has failed: millrace errors list --group ${app} --stream ${stream}. Mend the plan and start it; to go on as it is: millrace resume --group ${app} --stream ${stream} --execute.`,
      place: { stream, topic: ownInput(this.#info).source.name, partition },
    })
  }

  async #decodeAhead(inbox: Inbox, stopped: () => boolean): Promise<void> {
    for (let index = this.#batch.chunks.length; index < inbox.chunks.length && !stopped(); index++) {
      await inbox.chunks[index]?.decodeAhead(this.#info.clock, stopped)
    }
  }

  /** Waits behind a break. What waits in the collector is run meanwhile: it may be the way out. */
  async #pause(resumeAfterMs: number | undefined, clock: Clock): Promise<void> {
    const { signal } = this.#abandon
    const isFull = hasTooManyParked(this.#batch, this.#info)
    let due = false
    if (resumeAfterMs !== undefined) {
      void sleep(clock, resumeAfterMs, signal).then(() => {
        due = true
        this.#changed()
      })
    }
    let looksAgain = false
    const lookAgain = async () => {
      looksAgain = true
      if ((await sleep(clock, lookAtParkedMs, signal)) === 'elapsed') this.lookForWaiting()
      looksAgain = false
    }
    while (!due && !this.#stopping && !(isFull && !hasTooManyParked(this.#batch, this.#info))) {
      this.#enter(resumeAfterMs === undefined ? 'parked' : 'paused')
      // Somebody may have settled or deleted them without this task.
      if (isFull && !looksAgain) void lookAgain()
      await this.when(() => due || this.#stopping || this.#isAwaited)
      if (this.#isAwaited && !this.#stopping) await this.#runWaiting()
    }
  }

  #report(end: BatchEnd, reason: CloseReason): void {
    const { onCommit, partitions } = this.#settings
    const inputs = (this.#inbox?.fetched ?? []).map(({ topic, endOffset }): InputPosition => {
      const nextOffset = this.committedTo(topic) as number
      return { topic, nextOffset, endOffset: Math.max(endOffset, nextOffset) }
    })
    onCommit({
      stream: this.#info.stream,
      partition: this.#info.partition,
      reason: closeReasonOf(end, reason),
      items: end.items,
      outcomes: end.outcomes,
      streams: end.streams,
      rows: end.rows,
      emits: end.emits,
      late: end.late,
      ignored: end.ignored,
      bytes: this.#batch.byteSize,
      inputs,
      tookMs: this.#info.clock.now() - this.#batch.openedAt,
    })
    for (const { topic, nextOffset } of inputs)
      partitions.find((partition) => partition.topic === topic)?.hint(nextOffset)
  }
}
