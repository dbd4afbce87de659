/** How often what has failed as a whole is tried again: a batch, or reading what it needs. */
import { sleep } from '../core/clock.ts'
import { MillraceError, messageOf } from '../core/errors.ts'
import type { TaskInfo } from './taskInfo.ts'

/** Tries in all, with pauses that double. */
export const retries = { attempts: 3, firstMs: 200, factor: 2 } as const

/**
 * Waits before the next try; throws when there were enough or another try would not help.
 *
 * @param waiting told before and after
 */
export async function pauseBeforeRetry(
  info: TaskInfo,
  error: unknown,
  failures: number,
  waiting: (waits: boolean) => void = () => {},
): Promise<number> {
  const retryable = error instanceof MillraceError && error.retryable
  if (!retryable || failures >= retries.attempts) throw error
  const pauseMs = retries.firstMs * retries.factor ** (failures - 1)
  info.log.warn(
    { stream: info.stream, partition: info.partition, failures, pauseMs, error: messageOf(error) },
    'batch failed, trying again',
  )
  waiting(true)
  await sleep(info.clock, pauseMs, info.abandoned)
  waiting(false)
  return failures
}

/** Tries work again that failed because its surroundings were away. */
export async function patiently<T>(info: TaskInfo, work: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; ) {
    try {
      return await work()
    } catch (error) {
      failures = await pauseBeforeRetry(info, error, failures + 1)
    }
  }
}
