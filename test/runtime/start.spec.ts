import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import type { Store } from '../../src/core/store.ts'
import { type Stream, stream } from '../../src/stream.ts'
import { testDriver } from '../../src/testing/testDriver.ts'
import { topic } from '../../src/topic.ts'
import { base, numbers, out, Service, storeWith, toOut, upTo } from './_service.ts'

const plan = toOut(base)

describe('a first start', () => {
  it('begins at the beginning of the log', async () => {
    const service = new Service()
    service.append(upTo(5))
    service.broker.deleteBefore(numbers.name, 0, 2)
    await service.start(plan)
    await service.settle()
    expect(service.rows).toEqual([2, 3, 4])
    await service.stop()
  })

  it('from latest begins at the end, and keeps to that although nothing came before the restart', async () => {
    const service = new Service()
    service.append(upTo(5))
    const { runner } = await service.start(plan, { from: 'latest' })
    await service.settle()
    expect(await service.progress()).toEqual({ 0: 5 })
    await runner.stop(1_000)
    service.append([5])
    await service.start(plan, { from: 'latest' })
    await service.settle()
    expect(service.rows).toEqual([5])
    await service.stop()
  })

  it('from a time begins at the first record that is not older', async () => {
    const service = new Service()
    for (const n of upTo(5)) {
      service.append([n])
      await service.advance(1_000)
    }
    await service.start(plan, { from: new Date(2_500) })
    await service.settle()
    expect(service.rows).toEqual([3, 4])
    await service.stop()
  })

  it('from a time begins there also in a partition that was not claimed when another was', async () => {
    const service = new Service({ partitions: 2 })
    for (const n of upTo(5)) {
      service.append([n], 1)
      await service.advance(1_000)
    }
    const from = new Date(2_500)
    // A member that is killed between its claims; two members that start at once see the same.
    const claim: Store['claim'] = (task, starts) =>
      task.partition === 1 ? new Promise(() => {}) : service.store.claim(task, starts)
    const killed = await service.start(plan, { from, store: storeWith(service.store, { claim }) })
    await service.settle()
    expect(await service.progress()).toEqual({ 0: 0 })
    service.broker.expel(killed.client)
    const { runner } = await service.start(plan, { from })
    await service.settle()
    expect(service.rows).toEqual([3, 4])
    await runner.stop(1_000)
  })

  it('is refused where a table holds rows already, and nothing was said', async () => {
    const service = new Service()
    const driver = await service.start(toOut(stream('before').from(topic('numbers', numbers.codec))))
    service.append(upTo(2))
    await service.settle()
    await driver.runner.stop(1_000)
    const another = service.start(plan, { app: 'another' })
    await expect(another).rejects.toThrow(
      /group "another" has no progress, but table out holds rows.*--from earliest.*MR-START-FROM/s,
    )
    await service.start(plan, { app: 'another', from: 'earliest' })
    await service.settle()
    expect(service.rows).toEqual([0, 1, 0, 1])
  })

  it('is refused where the group has an offset committed, and nothing was said', async () => {
    const service = new Service()
    service.append(upTo(3))
    const client = service.broker.client('app')
    await client.start(
      [numbers.name],
      ({ partitions }) => partitions[0]?.hint(2),
      () => {},
    )
    await client.stop(1_000)
    const { runner } = await service.start(plan)
    await expect(runner.failed()).rejects.toThrow(/the group has an offset committed for numbers\[0\].*MR-START-FROM/s)
    expect(service.rows).toEqual([])
    await runner.stop(1_000)
    await service.start(plan, { from: 'earliest' })
    await service.settle()
    expect(service.rows).toEqual(upTo(3))
  })

  it('is no first start where there is progress, whatever is said', async () => {
    const service = new Service()
    service.append(upTo(3))
    const { runner } = await service.start(plan)
    await service.settle()
    await runner.stop(1_000)
    service.append([3])
    for (const from of ['earliest', 'latest', undefined] as const) {
      const again = await service.start(plan, { from })
      await service.settle()
      await again.runner.stop(1_000)
    }
    expect(service.rows).toEqual(upTo(4))
  })

  it('reads a partition that is added later from its beginning, also from latest', async () => {
    const service = new Service()
    service.append(upTo(3))
    await service.start(plan, { from: 'latest' })
    await service.settle()
    service.broker.addPartitions(numbers.name, 2)
    service.append([10, 11], 1)
    await service.settle()
    expect(service.rows).toEqual([10, 11])
    await service.stop()
  })
})

describe('a position', () => {
  /** A service that has committed up to 5, and stopped. */
  const stopped = async () => {
    const service = new Service()
    service.append(upTo(5))
    const { runner } = await service.start(plan)
    await service.settle()
    await runner.stop(1_000)
    return service
  }

  it('whose records are gone stops the stream, and names the gap', async () => {
    const service = await stopped()
    service.append(upTo(5, 5))
    service.broker.deleteBefore(numbers.name, 0, 8)
    const { runner } = await service.start(plan)
    await expect(runner.failed()).rejects.toThrow(
      /records 5 to 7 are gone: the log begins at 8.*numbers\[0\]@5.*MR-SOURCE-GAP/s,
    )
    expect(service.rows).toEqual(upTo(5))
  })

  it("at the log's beginning is no gap", async () => {
    const service = await stopped()
    service.append([5])
    service.broker.deleteBefore(numbers.name, 0, 5)
    await service.start(plan)
    await service.settle()
    expect(service.rows).toEqual(upTo(6))
  })

  /** A broker whose topic was deleted and made again. */
  const recreated = (service: Service, values: readonly number[]) => {
    const other = new Service()
    Object.assign(service, { broker: other.broker })
    other.append(values)
  }

  it('beyond the end of the log stops the stream', async () => {
    const service = await stopped()
    recreated(service, [0, 1])
    const { runner } = await service.start(plan)
    await expect(runner.failed()).rejects.toThrow(/progress is at 5, but the log ends at 2.*MR-SOURCE-BEYOND/s)
  })

  it('in a topic that was made again stops the stream, though the offsets fit', async () => {
    const service = await stopped()
    recreated(service, upTo(10, 100))
    const { runner } = await service.start(plan)
    await expect(runner.failed()).rejects.toThrow(
      /record 4 is not the one that was taken from there.*MR-SOURCE-RECREATED/s,
    )
    expect(service.rows).toEqual(upTo(5))
  })

  it('whose last record retention has deleted is taken as it is', async () => {
    const service = await stopped()
    service.broker.deleteBefore(numbers.name, 0, 5)
    service.append([5])
    await service.start(plan)
    await service.settle()
    expect(service.rows).toEqual(upTo(6))
  })
})

describe('a plan', () => {
  it('is refused when two streams read one topic', () => {
    const other = toOut(stream('other').from(numbers))
    expect(() => testDriver([plan, other])).toThrow(
      /the streams "s" and "other" both read topic "numbers".*MR-PLAN-TOPIC/s,
    )
  })

  it('that joins topics writes no table that traces rows to one', () => {
    const letters = topic('letters', numbers.codec)
    const keyed = (from: Stream<number>) => from.keyBy(String, { sameKey: true })
    const joined = keyed(base).joinLatest(keyed(stream('s').from(letters)), (a, b) => a + b)
    const traced = joined.to(table<{ n: number | null }>('traced', { track: true }), ({ value }) => ({ n: value }))
    expect(() => testDriver(traced)).toThrow(/table "traced" has track: true.*MR-PLAN-TRACK/s)
  })

  it('of two streams with topics of their own runs both', async () => {
    const letters = topic('letters', numbers.codec)
    const t = testDriver([plan, toOut(stream('other').from(letters))])
    await t.sendAll(numbers, [1])
    await t.sendAll(letters, [2])
    expect(t.rows(out)).toEqual([{ n: 1 }, { n: 2 }])
    expect(t.outcomes().map(({ stream }) => stream)).toEqual(['s', 'other'])
  })
})
