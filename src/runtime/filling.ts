/** Fills a batch: takes chunks into it and passes them through the graph, until it is full or has to close. */
import type { Batch } from './batch.ts'
import type { CloseReason } from './commitReport.ts'
import { tooMuchForOneBatch } from './endingInput.ts'
import type { Graph } from './graph.ts'
import type { Inbox } from './inbox.ts'
import { maxBatchItems } from './owner.ts'
import type { TaskInfo } from './taskInfo.ts'

/** Bounds of a batch: it grows with the backlog up to them. */
export interface CommitLimits {
  /** Milliseconds that a batch stays open while records keep coming. */
  readonly everyMs: number
  readonly maxItems: number
  readonly maxBytes: number
}

/** How long a batch waits for the next chunk when the log is known to go on: longer than a fetch takes, shorter than anybody notices. */
const fetchPatienceMs = 20

interface FillingParts {
  readonly batch: Batch
  readonly graph: Graph
  readonly info: TaskInfo
  readonly limits: CommitLimits
  /** Whether the input has an end. */
  readonly ends: boolean
  isStopping(): boolean
  /** Waits until the condition holds or the task has to stop. It is looked at after each change. */
  until(ready: () => boolean): Promise<void>
  /** Something has changed that somebody may wait for. */
  changed(): void
}

export class Filling {
  readonly #parts: FillingParts
  /** The most items that the next batch takes: small after refusals, so that a bad run costs no more than it must. */
  #cap: number

  constructor(parts: FillingParts) {
    this.#parts = parts
    this.#cap = this.#maxItems
  }

  get #maxItems(): number {
    return Math.min(this.#parts.limits.maxItems, maxBatchItems)
  }

  /** How many items a batch of what waits in the collector takes. */
  atMost(items: number): number {
    return Math.min(items, this.#maxItems)
  }

  /** @returns why the batch is to be closed */
  fill(inbox: Inbox): Promise<CloseReason> {
    return this.#parts.ends ? this.#toEnd(inbox) : this.#whileItComes(inbox)
  }

  /** A batch was committed: the next one is smaller after many setbacks, and larger again without. */
  committed({ setbacks, items }: { readonly setbacks: number; readonly items: number }): void {
    const isSmaller = setbacks > 2 && !this.#parts.info.isWhole
    this.#cap = isSmaller ? Math.max(16, items >> 2) : Math.min(this.#maxItems, this.#cap * 4)
  }

  /** Takes chunks into the batch until it is full, or nothing is left to take. */
  async #whileItComes(inbox: Inbox): Promise<CloseReason> {
    const { batch, graph, info, limits } = this.#parts
    const { clock } = info
    let heldUntil: number | undefined
    for (;;) {
      const input = inbox.chunks[batch.chunks.length]
      if (input !== undefined) {
        const chunk = batch.add(input, this.#cap - batch.size)
        await graph.run({ kind: 'chunk', chunk })
        if (batch.interrupt !== undefined || batch.limit.broke !== undefined) return 'break'
        if (batch.size >= this.#cap) return 'items'
        if (Math.max(batch.byteSize, batch.writeSet.byteSize) >= limits.maxBytes) return 'bytes'
      }
      if (this.#parts.isStopping() || inbox.failure !== undefined) return 'stop'
      const deadline = graph.deadline()
      const now = clock.now()
      const dueAt = batch.openedAt + limits.everyMs
      // Where groups keep opening, one that opened in time holds the batch, and those behind it do not.
      if (deadline !== undefined && (now < dueAt || heldUntil === undefined)) heldUntil = deadline
      const closeAt = deadline === undefined ? dueAt : Math.min(deadline, heldUntil ?? deadline)
      if (now >= closeAt) return deadline === undefined ? 'time' : 'group'
      if (inbox.chunks.length > batch.chunks.length) continue
      if (deadline !== undefined) await this.#waitForChunk(inbox, closeAt - now)
      else if (inbox.full || !inbox.isBehind) return 'drained'
      else if (!(await this.#waitForChunk(inbox, fetchPatienceMs))) return 'drained'
    }
  }

  /**
   * Of an input that ends, a batch takes what its limit allows, however long that takes: where it is cut depends on nothing
   * else, no group is closed by time, and what does not fit fails.
   */
  async #toEnd(inbox: Inbox): Promise<CloseReason> {
    const { batch, graph, info, limits } = this.#parts
    const { maxBytes } = limits
    for (;;) {
      const input = inbox.chunks[batch.chunks.length]
      if (input !== undefined) {
        const chunk = batch.add(input, this.#cap - batch.size)
        // After signal.error() everything is run again, so what else belongs to the batch is only taken.
        if (batch.interrupt === undefined) await graph.run({ kind: 'chunk', chunk })
        if (batch.limit.broke !== undefined || batch.interrupt?.kind === 'fatal') break
        if (Math.max(batch.byteSize, batch.writeSet.byteSize) >= maxBytes || batch.size >= maxBatchItems) {
          throw tooMuchForOneBatch(info, batch, maxBytes)
        }
        if (batch.size >= this.#cap) return 'items'
      } else {
        if (this.#parts.isStopping()) return 'stop'
        if (inbox.failure !== undefined) throw inbox.failure
        if (inbox.ended) break
        const taken = batch.chunks.length
        await this.#parts.until(() => inbox.chunks.length > taken || inbox.ended || inbox.failure !== undefined)
      }
    }
    batch.isLast = true
    return batch.limit.broke === undefined ? 'drained' : 'break'
  }

  /** Keeps the batch open for more records: an open group until its deadline, a backlog as long as a fetch may take. */
  async #waitForChunk(inbox: Inbox, ms: number): Promise<boolean> {
    const { batch, info, until, changed } = this.#parts
    const taken = batch.chunks.length
    let due = false
    const cancel = info.clock.schedule(ms, () => {
      due = true
      changed()
    })
    await until(() => due || inbox.chunks.length > taken || inbox.failure !== undefined)
    cancel()
    return inbox.chunks.length > taken
  }
}
