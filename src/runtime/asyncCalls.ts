/**
 * Calls of asynchronous callbacks that run side by side. What a call did besides answering (writes, slots, a throw) takes
 * effect in the item's turn, not when the call happens to end.
 */
import type { AsyncItemContext } from '../core/context.ts'
import type { AsyncStep } from '../core/operator.ts'
import { type SignalWatch, watchAsync } from '../core/signal.ts'
import type { Batch } from './batch.ts'
import type { Answer, CallMemory, HeldEffects } from './callMemory.ts'
import { CallContext } from './contexts.ts'
import { itemOf } from './owner.ts'
import { settle, swallowedSignal } from './settle.ts'
import type { TaskInfo } from './taskInfo.ts'
import { timedAnswer } from './timedAnswer.ts'
import { write } from './write.ts'

export class AsyncCalls implements AsyncStep {
  readonly name: string
  readonly #batch: Batch
  readonly #info: TaskInfo
  readonly #memory: CallMemory
  /** Where an owner stands among the entries of the pass, and how many groups of the same members stand before it. */
  readonly #turns = new Map<number, { readonly turn: number; readonly twin: number }>()
  #settled: { owner: number; ordinal: number; answer: Answer; effects: HeldEffects }[] = []

  constructor(name: string, batch: Batch, info: TaskInfo, memory: CallMemory) {
    this.name = name
    this.#batch = batch
    this.#info = info
    this.#memory = memory
  }

  /** Begins a pass: entries come in offset order, calls may end in any. */
  begin(owners: readonly number[]): void {
    this.#turns.clear()
    const twins = new Map<string, number>()
    for (const [turn, owner] of owners.entries()) {
      if (this.#turns.has(owner)) continue
      const records = owner < 0 ? this.#batch.offsetsOf(owner) : undefined
      const twin = records === undefined ? 0 : (twins.get(records) ?? 0)
      if (records !== undefined) twins.set(records, twin + 1)
      this.#turns.set(owner, { turn, twin })
    }
  }

  keyOf(owner: number): string | null {
    if (owner < 0) return null
    const { records, index } = this.#batch.locate(itemOf(owner))
    return records.key(index)?.toString('latin1') ?? null
  }

  async call<In, Out>(
    entry: { value: In; item: number; ordinal: number },
    callback: (value: In, ctx: AsyncItemContext) => Promise<Out> | Out,
    options: { timeoutMs: number },
  ): Promise<{ readonly value: Out } | undefined> {
    const { value, item: owner, ordinal } = entry
    const twin = this.#turns.get(owner)?.twin ?? 0
    // Two groups may have the same members: what flatMap made of one record.
    const offsets = this.#batch.offsetsOf(owner)
    const id = `${twin === 0 ? '' : `~${twin}`}/${ordinal}`
    const key = `${this.name}${id}`
    let known = this.#memory.recall(offsets, key, value)
    if (known === undefined) {
      if (this.#info.abandoned.aborted) return undefined
      known = {
        input: value,
        ...(await this.#make(value, { owner, id: `${offsets}${id}` }, callback, options.timeoutMs)),
      }
      this.#memory.remember(offsets, key, known)
    }
    this.#settled.push({ owner, ordinal, answer: known.answer, effects: known.effects })
    return 'value' in known.answer ? { value: known.answer.value as Out } : undefined
  }

  /** Lets what the calls did take effect, in offset order. */
  applyEffects(): void {
    const turnOf = (owner: number) => this.#turns.get(owner)?.turn ?? Number.POSITIVE_INFINITY
    const settled = this.#settled.sort((a, b) => turnOf(a.owner) - turnOf(b.owner) || a.ordinal - b.ordinal)
    this.#settled = []
    const batch = this.#batch
    for (const { owner, answer, effects } of settled) {
      if (batch.falls.isUndone(owner) || batch.limit.isBeyond(owner)) continue
      batch.item = owner
      batch.step = this.name
      if (effects.slots.size > 0) batch.scopes.set(owner, new Map(effects.slots))
      try {
        for (const held of effects.writes) write(batch, owner, held)
        if ('thrown' in answer) throw answer.thrown
      } catch (thrown) {
        settle(batch, owner, thrown)
      }
      if (batch.interrupt !== undefined) return
    }
  }

  async #make<In, Out>(
    value: In,
    { owner, id }: { owner: number; id: string },
    callback: (value: In, ctx: AsyncItemContext) => Promise<Out> | Out,
    timeoutMs: number,
  ): Promise<{ answer: Answer; effects: HeldEffects }> {
    const controller = new AbortController()
    const ctx = new CallContext(this.#batch, this.#info, { step: this.name, owner, id, abortSignal: controller.signal })
    const watch: SignalWatch = { raised: undefined }
    let answer = await timedAnswer(() => watchAsync(watch, () => callback(value, ctx)), {
      batch: this.#batch,
      info: this.#info,
      owner,
      step: this.name,
      timeoutMs,
      controller,
    })
    const effects = ctx.seal()
    if ('value' in answer && watch.raised !== undefined) {
      answer = { thrown: swallowedSignal(this.#batch, owner, this.#info, watch, this.name) }
    }
    return { answer, effects }
  }
}
