/**
 * Sends what a task has emitted, from memory, after the commit. One batch at a time: the next one commits only when all of it is
 * acknowledged, and takes it out of the outbox; so the outbox never holds much more than one batch of a task, and is read only by
 * whoever claims the task, for what the owner before had committed and perhaps not sent.
 */
import {
  type CommittedEmit,
  type Emit,
  type EmitRequest,
  type Outbox,
  outgoing,
  type TopicWriter,
  textOfTask,
} from '../core/emit.ts'
import { messageOf } from '../core/errors.ts'
import type { TaskId } from '../core/taskId.ts'
import type { Batch } from './batch.ts'
import type { EmitBuffer } from './emitBuffer.ts'
import { patiently } from './patience.ts'
import type { TaskInfo } from './taskInfo.ts'

/** How long what was acknowledged waits in the outbox for a commit that takes it along. */
const forgetAfterMs = 1_000

interface RelayParts {
  readonly info: TaskInfo
  readonly task: TaskId
  readonly writer: TopicWriter
  readonly outbox: Outbox
  /** Called when something was acknowledged, or cannot be sent. */
  readonly onChange: () => void
}

export class Relay {
  readonly #parts: RelayParts
  readonly #name: string
  /** The last sequence that the task has taken. */
  #sequence = 0
  #sent = 0
  /** What the outbox does not hold any more. */
  #forgotten = 0
  #taken: readonly CommittedEmit[] = []
  #underWay: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #cancelForget: () => void = () => {}

  constructor(parts: RelayParts) {
    this.#parts = parts
    this.#name = textOfTask(parts.task)
  }

  /** Whether something is on its way. */
  get isBusy(): boolean {
    return this.#underWay !== undefined
  }

  /** Set when something cannot be sent: the task has to stop. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure
  }

  /** Sends what the owner before has left, to be called after the claim and before anything is committed. */
  async recover(): Promise<void> {
    const { info, outbox, task, writer } = this.#parts
    if (writer.drops) return
    const { sequence, emits } = await patiently(info, () => outbox.left(task))
    this.#sequence = sequence
    this.#forgotten = (emits[0]?.sequence ?? sequence + 1) - 1
    if (emits.length === 0) return
    info.log.info(
      { stream: task.stream, partition: task.partition, emits: emits.length },
      'sending again what was left',
    )
    for (const topic of new Set(emits.map((emit) => emit.topic))) await writer.open(topic)
    this.#send(emits)
    await this.settled()
  }

  /** What a batch emits, for its commit. Nothing may be on its way. */
  request(batch: Batch, asAppended: boolean): EmitRequest | undefined {
    if (this.#parts.writer.drops) return undefined
    return {
      sent: this.#sent,
      take: () => {
        // Asked late: by now an item may have fallen for a refused row.
        const isWhole = asAppended && !batch.falls.any
        this.#taken = batch.writeSet.emits.take(this.#sequence, (owner) => batch.position(owner), isWhole)
        return this.#taken
      },
    }
  }

  /** Looks at topics that no step names. Says whether all records fit into theirs. */
  async open(emits: EmitBuffer): Promise<boolean> {
    const unknown = emits.unknownTopics
    for (const topic of unknown) await this.#parts.writer.open(topic)
    return unknown.length === 0 || emits.fits
  }

  /** The batch was committed: sends what it emitted. */
  committed(): void {
    this.#forgotten = Math.max(this.#forgotten, this.#sent)
    this.#cancelForget()
    this.#send(this.#taken)
    this.#taken = []
  }

  /** Resolves when nothing is on its way. Throws when something cannot be sent. */
  async settled(): Promise<void> {
    await this.#underWay
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Waits until all is sent, and takes it out of the outbox. */
  async end(): Promise<void> {
    await this.settled()
    await this.#forget()
  }

  close(): void {
    this.#cancelForget()
  }

  #send(emits: readonly Emit[]): void {
    const last = emits.at(-1)
    if (last === undefined) return
    this.#sequence = Math.max(this.#sequence, last.sequence)
    this.#underWay = this.#deliver(emits, last.sequence)
  }

  /** Never rejects. */
  async #deliver(emits: readonly Emit[], upTo: number): Promise<void> {
    const { info, writer, onChange } = this.#parts
    const records = emits.map((emit) => outgoing(this.#name, emit))
    try {
      await patiently(info, () => writer.send(records, info.abandoned))
      // One that gave up has perhaps not sent all of it.
      if (!info.abandoned.aborted) this.#acknowledge(upTo)
    } catch (error) {
      if (!info.abandoned.aborted) this.#failure = { error }
    }
    this.#underWay = undefined
    onChange()
  }

  #acknowledge(upTo: number): void {
    this.#sent = upTo
    // A task that stays idle has no commit that would take it along.
    this.#cancelForget = this.#parts.info.clock.schedule(forgetAfterMs, () => void this.#forget())
  }

  /** That it could not be done is no harm: it is sent again once, and readers know it. */
  async #forget(): Promise<void> {
    const { outbox, task, info } = this.#parts
    const upTo = this.#sent
    this.#cancelForget()
    if (upTo <= this.#forgotten || info.abandoned.aborted) return
    try {
      await outbox.forget(task, upTo)
      this.#forgotten = Math.max(this.#forgotten, upTo)
    } catch (error) {
      info.log.debug({ error: messageOf(error) }, 'emits that were sent could not be taken out of the outbox')
    }
  }
}
