/**
 * Calls of asynchronous callbacks. What a call answered is remembered until its item has committed, so that a replay or
 * a retry of the batch makes no call twice; it is used again only for an equal input.
 * What a call did besides (writes, slots, a throw) takes effect in the item's turn, not when the call happens to end.
 */
import { isDeepStrictEqual } from 'node:util'
import type { AsyncItemContext } from '../core/context.ts'
import { ItemError } from '../core/errors.ts'
import type { AsyncStep } from '../core/operator.ts'
import { Signal, type SignalWatch, watchAsync } from '../core/signal.ts'
import type { Batch } from './batch.ts'
import { CallContext, type HeldEffects } from './contexts.ts'
import { settle, swallowedSignal } from './settle.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'

type Answer = { readonly value: unknown } | { readonly thrown: unknown }

interface Remembered {
  readonly input: unknown
  readonly answer: Answer
  readonly effects: HeldEffects
}

/** Answers of a task's calls, by step, record and number within the record. */
export class CallMemory {
  readonly #answers = new Map<string, Remembered>()

  recall(key: string, input: unknown): Remembered | undefined {
    const known = this.#answers.get(key)
    return known !== undefined && isDeepStrictEqual(known.input, input) ? known : undefined
  }

  remember(key: string, answer: Remembered): void {
    this.#answers.set(key, answer)
  }

  /** To be called when no item that has been called for is left to a later batch: then no call of before is asked for again. */
  clear(): void {
    this.#answers.clear()
  }
}

/** An answer that is remembered would be given again: after a break or an error the call has to be made anew. */
function asksForAnotherTry(answer: Answer): boolean {
  if ('value' in answer || !(answer.thrown instanceof Signal)) return false
  const { kind } = answer.thrown.request
  return kind === 'break' || kind === 'error'
}

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
    const { chunk, index } = this.#batch.locate(owner)
    return chunk.input.records.key(index)?.toString('latin1') ?? null
  }

  async call<In, Out>(
    entry: { value: In; item: number; ordinal: number },
    callback: (value: In, ctx: AsyncItemContext) => Promise<Out> | Out,
    options: { timeoutMs: number },
  ): Promise<{ readonly value: Out } | undefined> {
    const { value, item: owner, ordinal } = entry
    const twin = this.#turns.get(owner)?.twin ?? 0
    // Two groups may have the same members: what flatMap made of one record.
    const id = `${this.#batch.offsetsOf(owner)}${twin === 0 ? '' : `~${twin}`}/${ordinal}`
    const key = `${this.name}/${id}`
    let known = this.#memory.recall(key, value)
    if (known === undefined) {
      if (this.#info.abandoned.aborted) return undefined
      known = { input: value, ...(await this.#make(value, { owner, id }, callback, options.timeoutMs)) }
      if (!asksForAnotherTry(known.answer)) this.#memory.remember(key, known)
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
      if (batch.isUndone(owner) || owner >= batch.limit) continue
      batch.item = owner
      batch.step = this.name
      if (effects.slots.size > 0) batch.scopes.set(owner, new Map(effects.slots))
      try {
        for (const { sink, row } of effects.writes) batch.bufferFor(sink).append(row, owner)
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
    const { clock, abandoned } = this.#info
    const controller = new AbortController()
    const abort = () => controller.abort(abandoned.reason)
    abandoned.addEventListener('abort', abort, { once: true })
    const call = { step: this.name, owner, id, abortSignal: controller.signal }
    const ctx = new CallContext(this.#batch, this.#info, call)
    const watch: SignalWatch = { raised: undefined }
    this.#info.cursor.enter(() => placeOf(this.#info, this.#batch, owner, this.name))
    const answered = watchAsync(watch, async (): Promise<Answer> => ({ value: await callback(value, ctx) }))
    this.#info.cursor.leave()
    const late = new Promise<Answer>((resolve) => {
      const stop = clock.schedule(timeoutMs, () => {
        const thrown = this.#timedOut(owner, timeoutMs)
        controller.abort(thrown)
        resolve({ thrown })
      })
      answered.then(stop, stop)
    })
    const given: Promise<Answer> = answered.catch((thrown: unknown) => ({ thrown }))
    const gone = new Promise<Answer>((resolve) => {
      controller.signal.addEventListener('abort', () => resolve({ thrown: controller.signal.reason }), { once: true })
    })
    let answer = await Promise.race([given, late, gone])
    abandoned.removeEventListener('abort', abort)
    const effects = ctx.seal()
    if ('value' in answer && watch.raised !== undefined) {
      answer = { thrown: swallowedSignal(this.#batch, owner, this.#info, watch, this.name) }
    }
    return { answer, effects }
  }

  #timedOut(owner: number, timeoutMs: number): ItemError {
    return new ItemError('MR-ASYNC-TIMEOUT', {
      what: `the callback did not settle within ${timeoutMs} ms`,
      why: 'The service it calls is slow or gone, or a promise in it is never settled.',
      fix: 'Pass ctx.abortSignal on, or raise timeoutMs.',
      place: placeOf(this.#info, this.#batch, owner, this.name),
    })
  }
}
