import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { stream } from '../../src/stream.ts'
import { type TestDriver, testDriver } from '../../src/testing/index.ts'
import { topic } from '../../src/topic.ts'

interface Flight {
  origin: string
  delay: number
}

const flights = topic('flights', json<Flight>())
const saved = table<Flight>('saved')
const las = { origin: 'LAS', delay: 33 }
const base = stream('flights').from(flights)
const plan = base.to(saved)

describe('testDriver', () => {
  it('runs a plan over what is sent', async () => {
    const t = testDriver(plan)
    await t.send(flights, las)
    expect(t.rows(saved)).toEqual([las])
    expect(t.counts()).toMatchObject({ done: 1, filtered: 0, collected: 0 })
    expect(t.outcomes()).toEqual([
      { stream: 'flights', topic: 'flights', partition: 0, offset: 0, outcome: 'done', reason: undefined },
    ])
  })

  it('gives records what they have beside their values', async () => {
    const seen: string[] = []
    const t = testDriver(
      base.tap((_, { record }) => {
        const { partition, offset, timestamp, key } = record
        seen.push([`${partition}@${offset}`, timestamp.toISOString(), key, record.header('h')].join(' '))
      }),
      { partitions: 2, now: new Date('2001-01-01T00:00Z') },
    )
    await t.send(flights, las)
    await t.send(flights, las, { partition: 1, key: 'k', headers: { h: 'x' }, timestamp: new Date(0) })
    await t.sendAll(flights, [las, las], ({ origin }, index) => ({ key: `${origin}${index}` }))
    expect(seen).toEqual([
      '0@0 2001-01-01T00:00:00.000Z  ',
      '1@0 1970-01-01T00:00:00.000Z k x',
      '0@1 2001-01-01T00:00:00.000Z LAS0 ',
      '0@2 2001-01-01T00:00:00.000Z LAS1 ',
    ])
  })

  it('cuts what is sent into chunks and batches as it is told', async () => {
    const t = testDriver(plan, { chunk: 3, maxItems: 5 })
    await t.sendAll(flights, Array(12).fill(las))
    expect(t.commits().map(({ items, reason }) => [items, reason])).toEqual([
      [5, 'items'],
      [5, 'items'],
      [2, 'drained'],
    ])
  })

  it('knows the reason of what was ignored, and the message of what was collected', async () => {
    const t = testDriver(
      base.map(({ delay }) => {
        throw new Error(`delay ${delay}`)
      }),
    )
    await t.send(flights, las)
    expect(t.outcomes()).toMatchObject([{ outcome: 'collected', reason: 'delay 33' }])
    expect(t.errors()).toMatchObject([{ offset: 0, value: Buffer.from(JSON.stringify(las)) }])
  })

  it('freezes values, so that a callback that changes one shows', async () => {
    const t = testDriver(
      base.map((flight) => {
        flight.delay = 0
        return flight
      }),
    )
    await t.send(flights, las)
    expect(t.errors()).toMatchObject([{ error: { name: 'TypeError', message: expect.stringContaining('read only') } }])
  })

  it('hands out rows that may be changed', async () => {
    const t = testDriver(plan)
    await t.send(flights, las)
    const [row] = t.rows(saved)
    if (row !== undefined) row.delay = 0
    expect(t.rows(saved)).toEqual([las])
  })

  it('lets tables refuse rows', async () => {
    const t = testDriver(plan, {
      refuses: (name, row, present) =>
        name === 'saved' && present.some(({ origin }) => origin === row.origin) ? '23505' : undefined,
    })
    await t.sendAll(flights, [las, { ...las, delay: 1 }, { origin: 'SEA', delay: 2 }])
    expect(t.rows(saved).map(({ delay }) => delay)).toEqual([33, 2])
    expect(t.errors()).toMatchObject([{ offset: 1, step: 'to:saved', error: { code: '23505' } }])
  })

  it('stands still between two moves of time', async () => {
    const t = testDriver(base.batch({ maxWaitMs: 1_000 }).flatten().to(saved), { now: new Date(5_000) })
    await t.send(flights, las)
    await t.advanceTo(new Date(5_999))
    expect(t.rows(saved)).toEqual([])
    await t.advanceTo(new Date(6_000))
    expect(t.rows(saved)).toEqual([las])
    await t.advanceTo(new Date(0))
    await t.send(flights, las)
    await t.advanceBy(1_000)
    expect(t.rows(saved)).toHaveLength(2)
  })

  it('runs the streams of several topics side by side', async () => {
    const airports = topic('airports', json<{ code: string }>())
    const codes = table<{ code: string }>('codes')
    const t = testDriver([plan, stream('airports').from(airports).to(codes)])
    await t.send(airports, { code: 'LAS' })
    await t.send(flights, las)
    expect([t.rows(saved), t.rows(codes)]).toEqual([[las], [{ code: 'LAS' }]])
  })

  it('finishes what is open when it is stopped', async () => {
    const t = testDriver(base.batch({ maxWaitMs: 60_000 }).flatten().to(saved))
    await t.send(flights, las)
    await t.stop()
    expect(t.rows(saved)).toEqual([las])
    await t.stop()
  })

  it('refuses topics that the plan does not read, and options that it does not have', async () => {
    const t: TestDriver = testDriver(plan)
    await expect(t.send(topic('fligths', json<Flight>()), las)).rejects.toThrow(
      /the plan does not read topic "fligths".*It reads flights.*MR-TEST-TOPIC/s,
    )
    expect(() => testDriver(plan, { chunks: 3 } as never)).toThrow(
      /no option "chunks"; did you mean "chunk"\?.*MR-TEST-OPTION/s,
    )
  })

  it('rejects where the plan stops, and goes on rejecting', async () => {
    const t = testDriver(plan, { refuses: () => '42P01' })
    const wrong = testDriver(
      base.tap(() => {
        stream('')
      }),
    )
    await expect(wrong.send(flights, las)).rejects.toThrow('needs a name')
    await expect(wrong.send(flights, las)).rejects.toThrow('needs a name')
    await t.stop()
  })
})
