/**
 * Answers of calls to the outside. They are remembered until their item has committed, so that a replay or a retry of the
 * batch makes no call twice; an answer is used again only for an equal input. An item that is put off takes its answers along.
 */
import { isDeepStrictEqual } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { Signal } from '../core/signal.ts'
import type { SlotValues } from './sharedScopes.ts'
import type { Write } from './write.ts'

export type Answer = { readonly value: unknown } | { readonly thrown: unknown }

/** What an asynchronous callback did besides answering; takes effect in the item's turn. */
export interface HeldEffects {
  readonly writes: readonly Write[]
  readonly slots: SlotValues
}

interface RememberedCall {
  readonly input: unknown
  readonly answer: Answer
  /** What the callback did besides, which is kept back until its item's turn. */
  readonly effects: HeldEffects
}

/** A call that could do nothing but answer. */
export const noEffects: HeldEffects = { writes: [], slots: new Map() }

/** Characters of answers that an item takes along at most; what is more is asked for again. */
const maxPackedLength = 1_000_000

/** Answers of a task's calls. */
export class CallMemory {
  /** By the offsets of the records, as a batch names them, then by the step and what tells the calls of a step apart. */
  readonly #answers = new Map<string, Map<string, RememberedCall>>()

  recall(offsets: string, key: string, input: unknown): RememberedCall | undefined {
    const known = this.#answers.get(offsets)?.get(key)
    return known !== undefined && isDeepStrictEqual(known.input, input) ? known : undefined
  }

  remember(offsets: string, key: string, call: RememberedCall): void {
    if (asksForAnotherTry(call.answer)) return
    const known = this.#answers.get(offsets)
    if (known === undefined) this.#answers.set(offsets, new Map([[key, call]]))
    else known.set(key, call)
  }

  /** Forgets what calls for an item have thrown, alone or in a group: it is tried again. */
  forgetThrown(offset: string): void {
    for (const [offsets, calls] of this.#answers) {
      if (!offsets.split(',').includes(offset)) continue
      for (const [key, { answer }] of calls) if ('thrown' in answer) calls.delete(key)
    }
  }

  /** The answers for an item as a text, or null when there are none. Those that cannot be written down are left out. */
  pack(offset: string): string | null {
    const packed: [key: string, input: unknown, value: unknown][] = []
    for (const [key, { input, answer, effects }] of this.#answers.get(offset) ?? []) {
      if (!('value' in answer) || effects.writes.length > 0 || effects.slots.size > 0) continue
      packed.push([key, input, answer.value])
    }
    if (packed.length === 0) return null
    try {
      const text = serialize(packed).toString('base64')
      return text.length > maxPackedLength ? null : text
    } catch {
      // A function or a socket among them: then the calls are made again.
      return null
    }
  }

  /** Takes up the answers that an item has brought along. */
  unpack(offset: string, text: string): void {
    try {
      const packed = deserialize(Buffer.from(text, 'base64')) as [key: string, input: unknown, value: unknown][]
      for (const [key, input, value] of packed) {
        this.remember(offset, key, { input, answer: { value }, effects: noEffects })
      }
    } catch {
      // Written by another version of Node: then the calls are made again.
    }
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
