import { map } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/testing/memoryStore.ts'
import { base, Service, toOut, upTo } from './_service.ts'

/** Numbers that the table refuses: so many that a batch is cut, and the next ones are small. */
const refused = [10, 11, 12, 13, 14]

/** A service whose table refuses them. */
function picky(): Service {
  const store = new MemoryStore({
    refuses: (_table, row) => (refused.includes(row.n as number) ? '23514' : undefined),
  })
  return Object.assign(new Service(), { store })
}

const standing = upTo(100).filter((n) => !refused.includes(n))

describe('items that a cut batch leaves to smaller ones', () => {
  it('are not called for again', async () => {
    const service = picky()
    service.append(upTo(100))
    const calls: number[] = []
    await service.start(
      toOut(
        base.mapAsync(async (n) => {
          calls.push(n)
          return n
        }),
      ),
    )
    await service.advance(1_000)
    expect(service.rows).toEqual(standing)
    expect(service.members[0]?.reports.length).toBeGreaterThan(2)
    expect(calls).toEqual(upTo(100))
    await service.stop()
  })

  it('are not sent to RxJS again', async () => {
    const service = picky()
    service.append(upTo(100))
    const sent: number[] = []
    const plan = [
      toOut(base),
      base.pipe(
        map((n) => {
          sent.push(n)
          return n
        }),
      ),
    ]
    await service.start(plan)
    await service.advance(1_000)
    expect(service.rows).toEqual(standing)
    expect(sent).toEqual([...new Set(sent)])
    await service.stop()
  })
})
