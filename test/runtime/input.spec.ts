import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { recordListChunk } from '../../src/core/recordListChunk.ts'
import type { SourceClient } from '../../src/core/source.ts'
import { stream } from '../../src/stream.ts'
import { testDriver } from '../../src/testing/testDriver.ts'
import { topic } from '../../src/topic.ts'
import { base, numbers, out, Service, toOut, upTo } from './_service.ts'

const plan = toOut(base)

describe('a null value', () => {
  it('is skipped and counted', async () => {
    const t = testDriver(plan)
    await t.sendAll(numbers, [0, null as unknown as number, 2])
    expect(t.rows(out).map(({ n }) => n)).toEqual([0, 2])
    expect(t.outcomes().map(({ outcome }) => outcome)).toEqual(['done', 'filtered', 'done'])
    expect(t.commits()).toMatchObject([{ items: 3, inputs: [{ nextOffset: 3 }] }])
  })

  it('comes through where the topic says so', async () => {
    const passing = topic('numbers', json<number>(), { tombstones: 'pass' })
    const kinds = table<{ kind: string }>('kinds')
    const t = testDriver(
      stream('s')
        .from(passing)
        .to(kinds, (n) => ({ kind: n === null ? 'null' : 'number' })),
    )
    await t.sendAll(passing, [0, null])
    expect(t.rows(kinds)).toEqual([{ kind: 'number' }, { kind: 'null' }])
  })

  it('moves progress on where there is nothing else', async () => {
    const service = new Service()
    service.append([null, null, null])
    await service.start(plan)
    await service.settle()
    expect(await service.progress()).toEqual({ 0: 3 })
    await service.stop()
  })
})

describe('bytes that cannot be decoded', () => {
  it('are collected with all that is known, and good neighbours stand', async () => {
    const t = testDriver(plan)
    await t.sendAll(numbers, [0])
    await t.sendBytes(numbers, Buffer.from('{"n":'), { key: 'k', headers: { h: 'x' }, timestamp: new Date(5) })
    await t.sendAll(numbers, [2])
    expect(t.rows(out).map(({ n }) => n)).toEqual([0, 2])
    expect(t.errors()).toMatchObject([
      {
        stream: 's',
        step: 'from:numbers',
        topic: 'numbers',
        partition: 0,
        offset: 1,
        key: Buffer.from('k'),
        value: Buffer.from('{"n":'),
        headers: [{ key: 'h', value: Buffer.from('x') }],
        timestamp: new Date(5),
        error: { name: 'ItemError', code: 'MR-DECODE-JSON' },
        attempts: 1,
      },
    ])
  })

  it('are collected wherever they stand, whatever was decoded ahead', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.boolean(), { maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 20 }),
        async (good, chunkRecords, maxItems) => {
          const service = new Service({ chunkRecords })
          for (const [n, fine] of good.entries()) {
            service.broker.append(numbers.name, 0, { value: Buffer.from(fine ? `${n}` : '{') })
          }
          await service.start(plan, { limits: { everyMs: 1_000, maxItems, maxBytes: 2 ** 20 } })
          await service.until(
            'all was taken',
            () => service.rows.length + service.store.collected.length === good.length,
          )
          const indexes = (of: boolean) => good.flatMap((fine, n) => (fine === of ? [n] : []))
          expect(service.rows).toEqual(indexes(true))
          expect(service.store.collected.map(({ offset }) => offset)).toEqual(indexes(false))
          await service.stop()
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('positions', () => {
  it('go over gaps, and over chunks without records', async () => {
    const service = new Service({ chunkRecords: 2 })
    service.broker.skip(numbers.name, 0, 4)
    service.append(upTo(3))
    service.broker.skip(numbers.name, 0, 2)
    service.append([3])
    service.broker.skip(numbers.name, 0, 3)
    const { reports } = await service.start(plan)
    await service.until('all was taken', () => service.rows.length === 4)
    await service.settle()
    expect([service.rows, await service.progress()]).toEqual([upTo(4), { 0: 13 }])
    for (const { nextOffset, endOffset } of reports.flatMap(({ inputs }) => inputs)) {
      expect(endOffset).toBeGreaterThanOrEqual(nextOffset)
    }
    service.broker.skip(numbers.name, 0, 5)
    await service.settle()
    expect(await service.progress()).toEqual({ 0: 18 })
    await service.stop()
  })

  it('never stand behind a record that was not taken, whatever the gaps and cuts', async () => {
    const event = fc.oneof(fc.constant('record' as const), fc.constant('gap' as const))
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 40 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(30),
        async (events, chunkRecords, maxItems, refused) => {
          const service = new Service({ chunkRecords })
          const offsets: number[] = []
          let end = 0
          for (const one of events) {
            if (one === 'gap') service.broker.skip(numbers.name, 0, 2)
            else {
              offsets.push(end)
              service.append([end])
            }
            end += one === 'gap' ? 2 : 1
          }
          const { reports } = await service.start(
            toOut(
              base
                .batch({ max: 3 })
                .tap((group) => {
                  if (group.includes(refused)) throw new Error('refused')
                })
                .flatten(),
            ),
            { limits: { everyMs: 1_000, maxItems, maxBytes: 2 ** 20 } },
          )
          await service.until('the end was reached', () => end === 0 || reports.at(-1)?.inputs[0]?.nextOffset === end)
          for (const [index, { inputs, items }] of reports.entries()) {
            const { nextOffset = 0 } = inputs[0] ?? {}
            const from = reports[index - 1]?.inputs[0]?.nextOffset ?? 0
            expect(items).toBe(offsets.filter((offset) => offset >= from && offset < nextOffset).length)
          }
          expect(service.rows).toEqual(offsets.filter((offset) => offset !== refused))
          await service.stop()
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('a source that fails', () => {
  it('stops the stream, and what was taken before is committed, an open group too', async () => {
    const service = new Service()
    service.append(upTo(3))
    let fail: (error: Error) => void = () => {}
    const client = service.broker.client('app')
    const failing: SourceClient = {
      start: (topics, onAssigned, onFailed) =>
        client.start(
          topics,
          ({ partitions }) => onAssigned({ partitions: partitions.map((partition) => ({ ...partition, read })) }),
          onFailed,
        ),
      stop: (deadlineMs) => client.stop(deadlineMs),
      committedOffset: (partition) => client.committedOffset(partition),
    }
    async function* read() {
      const records = upTo(3).map((offset) => ({
        offset,
        key: null,
        value: Buffer.from(String(offset)),
        headers: [],
        timestamp: 0,
      }))
      yield recordListChunk({ topic: numbers.name, partition: 0, records, nextOffset: 3, endOffset: 3 })
      await new Promise((_, reject) => {
        fail = reject
      })
    }
    const { runner } = await service.start(toOut(base.batch({ maxWaitMs: 60_000 }).flatten()), { client: failing })
    await service.until('the group is open', () => runner.tasks[0]?.state === 'waiting')
    expect(service.rows).toEqual([])
    fail(new Error('the source is broken'))
    await expect(runner.failed()).rejects.toThrow('the source is broken')
    expect([service.rows, await service.progress()]).toEqual([upTo(3), { 0: 3 }])
    await runner.stop(1_000)
  })
})
