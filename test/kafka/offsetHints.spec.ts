import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/core/logger.ts'
import type { CommittedPosition } from '../../src/kafka/groupMember.ts'
import { OffsetHints } from '../../src/kafka/offsetHints.ts'
import { ManualClock, settle } from './manualClock.ts'

function hints(commit?: (positions: readonly CommittedPosition[]) => Promise<void>) {
  const clock = new ManualClock()
  const committed: CommittedPosition[][] = []
  const record = async (positions: readonly CommittedPosition[]): Promise<void> => {
    committed.push([...positions])
  }
  return { clock, committed, hints: new OffsetHints(commit ?? record, clock, silentLogger) }
}

describe('OffsetHints', () => {
  it('commits the newest position of each partition together, every few seconds', async () => {
    const { clock, committed, hints: some } = hints()
    for (let offset = 1; offset <= 1_000; offset++) some.set({ topic: 't', partition: 0 }, offset)
    some.set({ topic: 't', partition: 1 }, 7)
    await clock.advance(4_999)
    expect(committed).toEqual([])
    await clock.advance(1)
    expect(committed).toEqual([
      [
        { topic: 't', partition: 0, offset: 1_000 },
        { topic: 't', partition: 1, offset: 7 },
      ],
    ])
    await clock.advance(60_000)
    expect(committed).toHaveLength(1)
  })

  it('commits what is left when it is flushed, and waits for what is under way', async () => {
    let release = (): void => {}
    const { clock, hints: some } = hints(() => new Promise((resolve) => (release = resolve)))
    some.set({ topic: 't', partition: 0 }, 1)
    await clock.advance(5_000)
    let flushed = false
    const flush = some.flush().then(() => {
      flushed = true
    })
    await settle()
    expect(flushed).toBe(false)
    release()
    await flush
    expect(clock.pending).toEqual([])
  })

  it('swallows failures: nothing of ours depends on these positions', async () => {
    const { clock, hints: some } = hints(() => Promise.reject(new Error('ILLEGAL_GENERATION')))
    some.set({ topic: 't', partition: 0 }, 1)
    await clock.advance(5_000)
    await some.flush()
  })
})
