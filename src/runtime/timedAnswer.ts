/** An asynchronous callback with its deadline: it answers, throws, takes too long, or its task is given up. */
import { ItemError } from '../core/errors.ts'
import type { Batch } from './batch.ts'
import { type Answer, answerOf } from './callMemory.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'

export interface TimedCallback {
  readonly batch: Batch
  readonly info: TaskInfo
  readonly owner: number
  readonly step: string
  readonly timeoutMs: number
  /** Aborts the callback's own signal. */
  readonly controller: AbortController
}

/** Never rejects, and never waits longer than the deadline. */
export async function timedAnswer(call: () => unknown, callback: TimedCallback): Promise<Answer> {
  const { batch, info, owner, step, timeoutMs, controller } = callback
  const { clock, abandoned } = info
  const abort = () => controller.abort(abandoned.reason)
  abandoned.addEventListener('abort', abort, { once: true })
  if (abandoned.aborted) abort()
  info.cursor.enter(() => placeOf(info, batch, owner, step))
  const answered = answerOf(call)
  info.cursor.leave()
  const late = new Promise<Answer>((resolve) => {
    const stop = clock.schedule(timeoutMs, () => {
      const thrown = timedOut(callback)
      controller.abort(thrown)
      resolve({ thrown })
    })
    void answered.then(stop)
  })
  const gone = new Promise<Answer>((resolve) => {
    controller.signal.addEventListener('abort', () => resolve({ thrown: controller.signal.reason }), { once: true })
  })
  const answer = await Promise.race([answered, late, gone])
  abandoned.removeEventListener('abort', abort)
  return answer
}

function timedOut({ batch, info, owner, step, timeoutMs }: TimedCallback): ItemError {
  return new ItemError('MR-ASYNC-TIMEOUT', {
    what: `the callback did not settle within ${timeoutMs} ms`,
    why: 'The service it calls is slow or gone, or a promise in it is never settled.',
    fix: 'Pass ctx.abortSignal on, or raise timeoutMs.',
    place: placeOf(info, batch, owner, step),
  })
}
