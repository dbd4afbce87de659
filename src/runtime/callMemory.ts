/**
 * Answers of calls to the outside. They are remembered until their item has committed, so that a replay or a retry of the
 * batch makes no call twice; an answer is used again only for an equal input.
 */
import { isDeepStrictEqual } from 'node:util'
import { Signal } from '../core/signal.ts'
import type { Sink } from '../core/sink.ts'
import type { SlotValues } from './sharedScopes.ts'

export type Answer = { readonly value: unknown } | { readonly thrown: unknown }

/** What an asynchronous callback did besides answering; takes effect in the item's turn. */
export interface HeldEffects {
  readonly writes: readonly { readonly sink: Sink<never>; readonly row: object }[]
  readonly slots: SlotValues
}

interface RememberedCall {
  readonly input: unknown
  readonly answer: Answer
  /** What the callback did besides, which is kept back until its item's turn. */
  readonly effects: HeldEffects
}

/** Answers of a task's calls, by step, record and number within the record. */
export class CallMemory {
  readonly #answers = new Map<string, RememberedCall>()

  recall(key: string, input: unknown): RememberedCall | undefined {
    const known = this.#answers.get(key)
    return known !== undefined && isDeepStrictEqual(known.input, input) ? known : undefined
  }

  remember(key: string, call: RememberedCall): void {
    if (!asksForAnotherTry(call.answer)) this.#answers.set(key, call)
  }

  /** To be called when no item that has been called for is left to a later batch: then no call of before is asked for again. */
  clear(): void {
    this.#answers.clear()
  }
}

/** What a function answers or throws, now or later. */
export async function answerOf(call: () => unknown): Promise<Answer> {
  try {
    return { value: await call() }
  } catch (thrown) {
    return { thrown }
  }
}

/** An answer that is remembered would be given again: after a break or an error the call has to be made anew. */
function asksForAnotherTry(answer: Answer): boolean {
  if ('value' in answer || !(answer.thrown instanceof Signal)) return false
  const { kind } = answer.thrown.request
  return kind === 'break' || kind === 'error'
}
