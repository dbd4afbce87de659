import type { ItemContext } from '../src/core/context.ts'
import { type Duration, durationMs, durationText } from '../src/core/duration.ts'
import type { Key } from '../src/core/key.ts'
import type { KeyedOperator, KeyedState, KeyRule } from '../src/core/keyed.ts'
import { type OptionRules, validateOptions } from '../src/core/options.ts'
import type { Results } from './_shared/results.ts'

/** State of the key in hand. Valid during the callback only. */
export interface State<S> {
  readonly key: Key
  /** What is kept; what `initial` makes when there is nothing. What is changed in place is kept once it is set. */
  get(): S
  set(value: S): void
  /** Keeps what `change` makes of the present value, and answers with it. */
  update(change: (value: S) => S): S
  /** Forgets the key. */
  delete(): void
}

export interface StatefulOptions<S> {
  /** State is found again under it. */
  readonly name: string
  /** Makes the first value of a key; a factory, so that no two keys share an object. */
  readonly initial: () => S
  /** How long after it was set last state is kept, in event time. Default: for ever. */
  readonly ttl?: Duration
}

const rules: OptionRules = {
  name: { type: 'string', required: true },
  initial: { type: 'function', required: true },
  ttl: { type: 'object' },
}

/** Calls a function with state of the value's key; what it answers other than null and undefined goes on. */
export function stateful<V, S, N>(
  key: KeyRule<V>,
  options: StatefulOptions<S>,
  callback: (value: V, state: State<S>, ctx: ItemContext) => N,
): KeyedOperator<V, Results<N>> {
  validateOptions('stateful()', options, rules)
  const ttlMs = options.ttl === undefined ? undefined : durationMs('stateful(): "ttl"', options.ttl, 1)
  return Object.freeze({
    mode: 'keyed',
    kind: 'stateful',
    detail: ttlMs === undefined ? '' : `kept for ${durationText(ttlMs)}`,
    callbacks: [key.of, callback],
    key,
    time: undefined,
    shape: 'stateful',
    holdsBackMs: 0,
    attach(next, _late, step) {
      const view = new StateView<S>(options.initial, () => (ttlMs === undefined ? undefined : step.time + ttlMs))
      return {
        take(value: V, item: number, state: KeyedState) {
          step.enter()
          view.of(state)
          const result = callback(value, view, step.ctx)
          if (result !== undefined && result !== null) next(result as Results<N>, item)
        },
      }
    },
  } satisfies KeyedOperator<V, Results<N>>)
}

/** One object for all keys: it stands for the one in hand. */
class StateView<S> implements State<S> {
  readonly #initial: () => S
  readonly #due: () => number | undefined
  #state: KeyedState | undefined

  constructor(initial: () => S, due: () => number | undefined) {
    this.#initial = initial
    this.#due = due
  }

  of(state: KeyedState): void {
    this.#state = state
  }

  get key(): Key {
    return this.#current.key
  }

  get(): S {
    const value = this.#current.get(0)
    return value === undefined ? this.#initial() : (value as S)
  }

  set(value: S): void {
    this.#current.set(0, value, this.#due())
  }

  update(change: (value: S) => S): S {
    const value = change(this.get())
    this.set(value)
    return value
  }

  delete(): void {
    this.#current.delete(0)
  }

  get #current(): KeyedState {
    return this.#state as KeyedState
  }
}
