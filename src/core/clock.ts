/** The one source of time: everything that waits or looks at the clock takes one, so that tests can own it. */
export interface Clock {
  /**
   * Whole milliseconds; since the epoch when the process started. It never goes back, whoever sets the machine's clock: what
   * is measured with it is how long something takes.
   */
  now(): number
  /** Calls back once after `ms`; the answer cancels it. */
  schedule(ms: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Math.floor(performance.timeOrigin + performance.now()),
  schedule(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `ms`, or at once when the signal aborts; says which. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<'elapsed' | 'aborted'> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve('aborted')
    const onAbort = () => {
      cancel()
      resolve('aborted')
    }
    const cancel = clock.schedule(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve('elapsed')
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
