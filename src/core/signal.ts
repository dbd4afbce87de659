/**
 * The four ways to steer an item out of a callback. Each function throws and so returns `never`:
 * `v => known(v) ? v : signal.ignore('unknown')` keeps its type.
 *
 * A signal is thrown without a stack, because it is no error: it costs one small object, and for
 * `continue` and reasonless signals not even that. It must reach millrace: a `try` of the user's own that
 * swallows it is noticed when the callback returns, and named.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

export interface BreakOptions {
  /** Milliseconds after which the partition is read again, from the item that broke; without it, after a restart. */
  readonly resumeAfterMs?: number
}

/** What a callback asked for. */
export type SignalRequest =
  | { readonly kind: 'continue' }
  | { readonly kind: 'ignore'; readonly reason: string | undefined }
  | { readonly kind: 'break'; readonly reason: string | undefined; readonly resumeAfterMs: number | undefined }
  | { readonly kind: 'error'; readonly cause: unknown }

/** What a signal function throws. Not an Error: nothing went wrong, and a stack would cost microseconds. */
export class Signal {
  readonly request: SignalRequest
  constructor(request: SignalRequest) {
    this.request = request
  }
  toString(): string {
    return `signal.${this.request.kind}() left its stream: it only works inside a callback of a plan`
  }
}

/** A place where a raised signal is noted until it arrives at the runtime. */
export interface SignalWatch {
  raised: Signal | undefined
}

/** For synchronous callbacks, of which only one runs at a time. */
export const syncWatch: SignalWatch = { raised: undefined }

/** For asynchronous callbacks, each of which has a watch of its own. Made on first use: it slows every promise of the process. */
let asyncWatches: AsyncLocalStorage<SignalWatch> | undefined

/** Runs an asynchronous callback with a watch that only its own signals reach. */
export function watchAsync<T>(watch: SignalWatch, callback: () => T): T {
  asyncWatches ??= new AsyncLocalStorage()
  return asyncWatches.run(watch, callback)
}

function raise(signal: Signal): never {
  const watch = asyncWatches?.getStore() ?? syncWatch
  watch.raised = signal
  throw signal
}

const continueSignal = new Signal({ kind: 'continue' })
const plainIgnore = new Signal({ kind: 'ignore', reason: undefined })
const plainBreak = new Signal({ kind: 'break', reason: undefined, resumeAfterMs: undefined })

/** The signals. Call them as `signal.x()`: TypeScript does not narrow after a destructured one. */
export const signal: {
  /** Stops the item on this path and keeps what it wrote so far. A result is given by returning it. */
  continue(): never
  /** Undoes the item in the whole stream. It is counted as ignored, with the reason. */
  ignore(reason?: string): never
  /** Undoes the item, commits the earlier ones and pauses the partition here. */
  break(reason?: string, options?: BreakOptions): never
  /** Undoes the whole batch; it is tried again, and then the stream stops. */
  error(cause?: unknown): never
} = {
  continue: () => raise(continueSignal),
  ignore: (reason) => raise(reason === undefined ? plainIgnore : new Signal({ kind: 'ignore', reason })),
  break: (reason, options) =>
    raise(
      reason === undefined && options === undefined
        ? plainBreak
        : new Signal({ kind: 'break', reason, resumeAfterMs: options?.resumeAfterMs }),
    ),
  error: (cause) => raise(new Signal({ kind: 'error', cause })),
}
