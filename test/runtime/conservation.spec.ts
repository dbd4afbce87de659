/** A batch whose items are not all accounted for commits nothing. The faults are injected: nothing in the runtime is known to make one. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { InternalError } from '../../src/core/errors.ts'
import { Batch } from '../../src/runtime/batch.ts'
import { base, Service, toOut, upTo } from './_service.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

async function failureOf(plan = toOut(base)) {
  const service = new Service({ chunkRecords: 10 })
  service.append(upTo(30))
  const { runner } = await service.start(plan)
  const failure = await runner.failed().catch((error: unknown) => error)
  await runner.stop(1_000)
  return { failure, rows: service.rows, progress: await service.progress() }
}

describe('a batch that does not conserve its items stops the task, and nothing of it is committed', () => {
  it('when the loop has not been at all of them', async () => {
    const add = Batch.prototype.add
    vi.spyOn(Batch.prototype, 'add').mockImplementation(function (this: Batch, input, atMost) {
      const chunk = add.call(this, input, atMost)
      return chunk.base === 20 ? { ...chunk, size: chunk.size - 1 } : chunk
    })
    const { failure, rows, progress } = await failureOf()
    expect(failure).toBeInstanceOf(InternalError)
    expect(String(failure)).toContain('of 30 items 29 went through the plan')
    expect(String(failure)).toContain('(stream "s", numbers[0]@0)')
    expect(String(failure)).toMatch(/MR-INTERNAL-OUTCOMES$/)
    expect([rows, progress]).toEqual([[], { 0: 0 }])
  })

  it('when an item has no outcome', async () => {
    const countOutcomes = Batch.prototype.countOutcomes
    vi.spyOn(Batch.prototype, 'countOutcomes').mockImplementation(function (this: Batch) {
      const counts = countOutcomes.call(this)
      return { ...counts, done: counts.done - 1 }
    })
    const { failure, rows, progress } = await failureOf()
    expect(String(failure)).toContain('of 30 items 30 went through the plan, and they have 29 outcomes')
    expect([rows, progress]).toEqual([[], { 0: 0 }])
  })

  it('also behind an asynchronous step, and when the batch was replayed', async () => {
    const reset = Batch.prototype.reset
    let resets = 0
    vi.spyOn(Batch.prototype, 'reset').mockImplementation(function (this: Batch) {
      reset.call(this)
      // The second is that of the replay.
      if (++resets === 2) this.chunks = this.chunks.slice(0, -1)
    })
    const plan = toOut(
      base
        .mapAsync(async (n) => n)
        .batch({ max: 3 })
        .map((group) => {
          if (group.includes(7)) throw new Error('seven')
          return group
        })
        .flatten(),
    )
    const { failure, rows } = await failureOf(plan)
    expect(String(failure)).toContain('of 30 items 20 went through the plan')
    expect(rows).toEqual([])
  })
})
