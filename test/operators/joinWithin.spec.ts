import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type JoinKind, json, signal, stream, table, topic } from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'
import { Service } from '../runtime/_service.ts'
import { fill, type Logs, logOf, merged, type Read, type Said, type Side, topics } from '../runtime/_twoTopics.ts'

/** More in a night: `MILLRACE_LAW_RUNS=3000 npx vitest run test/operators/joinWithin.spec.ts`. */
const numRuns = Number(process.env.MILLRACE_LAW_RUNS ?? 60)

interface Span {
  readonly before: number
  readonly after: number
  readonly grace: number
  readonly join: JoinKind
}

const pairs = table<{ left: number | null; right: number | null }>('pairs')
const lateOnes = table<Said>('late_ones')
const ms = (milliseconds: number) => ({ milliseconds })

function planOf({ before, after, grace, join }: Span, isIgnored: (said: Said) => boolean) {
  const keyed = (side: Side) =>
    stream(side)
      .from(topics[side])
      .keyBy(({ key }) => key, { sameKey: true })
  const joined = keyed('left').joinWithin(
    keyed('right'),
    { before: ms(before), after: ms(after), grace: ms(grace), join: join as 'outer' },
    (left, right) => ({ left: left?.n ?? null, right: right?.n ?? null, said: [left, right] }),
  )
  // Items fall behind the join, where they have left traces in its state and have met others.
  const falling = joined.tap(({ said }, ctx) => {
    const own = ctx.records.length === 0 ? undefined : said.find((one) => one?.side === ctx.record.topic)
    if (own !== undefined && isIgnored(own)) signal.ignore()
  })
  return [falling.to(pairs, ({ left, right }) => ({ left, right })), joined.late().to(lateOnes)]
}

interface Kept extends Read {
  hasMet: boolean
  isTold: boolean
}

/** The same by plain loops over all that was read, in its order. */
function model({ before, after, grace, join }: Span, order: readonly Read[]) {
  const rows: { left: number | null; right: number | null }[] = []
  const late: Read[] = []
  let kept: Kept[] = []
  let watermark = Number.NEGATIVE_INFINITY
  const givesAlone = (side: Side) => join === 'outer' || (join === 'left' && side === 'left')
  const closes = ({ side, time }: Read) => time + (side === 'left' ? after : before) + grace
  const goes = ({ time }: Read) => time + before + after + grace
  const give = (one: Read, other?: Read) => {
    const [left, right] = one.side === 'left' ? [one, other] : [other, one]
    rows.push({ left: left?.n ?? null, right: right?.n ?? null })
  }
  const byTime = (a: Read, b: Read) =>
    a.time - b.time ||
    (a.side === b.side ? 0 : a.side === 'right' ? -1 : 1) ||
    (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
  for (const one of order) {
    watermark = Math.max(watermark, one.time)
    for (const old of [...kept].sort(byTime)) {
      if (closes(old) >= watermark || old.isTold || !givesAlone(old.side)) continue
      old.isTold = true
      if (!old.hasMet) give(old)
    }
    kept = kept.filter((old) => goes(old) >= watermark)
    const meets = (other: Read) => {
      const [left, right] = one.side === 'left' ? [one, other] : [other, one]
      return (
        other.side !== one.side &&
        other.key === one.key &&
        right.time >= left.time - before &&
        right.time <= left.time + after
      )
    }
    const partners = kept.filter(meets).sort((a, b) => a.time - b.time)
    for (const partner of partners) {
      partner.hasMet = true
      give(one, partner)
    }
    const isOver = closes(one) < watermark
    const isGone = goes(one) < watermark
    if (!isGone) kept.push({ ...one, hasMet: partners.length > 0 || isOver, isTold: isOver })
    if (partners.length > 0) continue
    if (givesAlone(one.side) && isOver) give(one)
    else if (isGone) late.push(one)
  }
  return { rows, late: late.map(({ side, n }) => ({ side, n })) }
}

async function play(span: Span, logs: Logs, maxItems: number, isIgnored: (said: Said) => boolean) {
  const service = new Service({ chunkRecords: 4 })
  fill(service, logs)
  const count = logs.left.length + logs.right.length
  const { reports } = await service.start(planOf(span, isIgnored), {
    limits: { everyMs: 1_000, maxItems, maxBytes: 2 ** 20 },
  })
  await service.until('all was taken', () => reports.reduce((sum, { items }) => sum + items, 0) >= count)
  await service.settle()
  const rows = service.store.rows(pairs.name).map(({ left, right }) => ({ left, right }))
  const late = service.store.rows(lateOnes.name).map(({ side, n }) => ({ side, n }))
  await service.stop()
  return { rows, late }
}

const span = fc.record({
  before: fc.nat(6),
  after: fc.nat(6),
  grace: fc.nat(4),
  join: fc.constantFrom<JoinKind>('inner', 'left', 'outer'),
})
// Times go back now and then, further than the grace goes.
const log = logOf(['a', 'b'], fc.integer({ min: -8, max: 8 }))

describe('joinWithin', () => {
  test('gives what plain loops over both logs give, in their order', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(span, log, log, fc.integer({ min: 1, max: 12 }), async (spanned, left, right, maxItems) => {
        const given = await play(spanned, { left, right }, maxItems, () => false)
        expect(given).toEqual(model(spanned, merged({ left, right })))
      }),
      { numRuns },
    )
  })

  test('leaves no trace of values that are undone when they have met others', { timeout: 300_000 }, async () => {
    const never: Span = { before: 5, after: 5, grace: 3, join: 'inner' }
    await fc.assert(
      fc.asyncProperty(log, log, fc.integer({ min: 1, max: 12 }), fc.nat(4), async (left, right, maxItems, every) => {
        const isIgnored = ({ n }: Said) => n % 5 === every
        const { rows } = await play(never, { left, right }, maxItems, isIgnored)
        // Which of them has met another, and so was undone, is found one after the other.
        let order = merged({ left, right })
        for (;;) {
          const undone = firstUndone(never, order, isIgnored)
          if (undone === undefined) break
          order = order.filter((read) => read !== undone)
        }
        expect(rows).toEqual(model(never, order).rows)
      }),
      { numRuns },
    )
  })

  test('gives a value alone once, when time has passed all that it could meet', async () => {
    const [departures, arrivals] = [
      topic('departures', json<{ tail: string }>()),
      topic('arrivals', json<{ tail: string }>()),
    ]
    const trips = table<{ tail: string; landed: boolean }>('trips')
    const byTail = (name: string, of: typeof departures) =>
      stream(name)
        .from(of)
        .keyBy(({ tail }) => tail, { sameKey: true })
    const plan = byTail('departures', departures)
      .joinWithin(
        byTail('arrivals', arrivals),
        { before: { minutes: 0 }, after: { hours: 6 }, join: 'left' },
        (departure, arrival) => ({ tail: departure.tail, landed: arrival !== undefined }),
      )
      .to(trips)
    const t = testDriver(plan, { now: new Date('2001-01-01T00:00Z') })
    await t.send(departures, { tail: 'N1' }, { key: 'N1', timestamp: new Date('2001-01-01T00:00Z') })
    await t.send(departures, { tail: 'N2' }, { key: 'N2', timestamp: new Date('2001-01-01T00:00Z') })
    await t.send(arrivals, { tail: 'N2' }, { key: 'N2', timestamp: new Date('2001-01-01T06:00Z') })
    expect(t.rows(trips)).toEqual([{ tail: 'N2', landed: true }])
    await t.advanceTo(new Date('2001-01-01T06:00:00.001Z'))
    await t.advanceTo(new Date('2001-01-02T00:00Z'))
    expect(t.rows(trips)).toEqual([
      { tail: 'N2', landed: true },
      { tail: 'N1', landed: false },
    ])
    await t.stop()
  })

  test('says which option is wrong', () => {
    const left = stream('left').from(topics.left)
    const right = stream('right').from(topics.right)
    const join = (options: object) => () =>
      left
        .keyBy(({ key }) => key, { sameKey: true })
        .joinWithin(
          right.keyBy(({ key }) => key, { sameKey: true }),
          options as never,
          () => 1,
        )
    expect(join({ before: ms(1) })).toThrow('joinWithin() needs "after"')
    expect(join({ before: ms(1), after: ms(1), join: 'right' })).toThrow('"join" must be one of')
    expect(join({ before: ms(1), after: ms(1), grace: 5 })).toThrow('"grace" must be an object')
  })
})

/** The first value that is ignored where it has met another. */
function firstUndone(span: Span, order: readonly Read[], isIgnored: (said: Said) => boolean): Read | undefined {
  for (const [index, read] of order.entries()) {
    if (!isIgnored(read)) continue
    const without = model(span, order.slice(0, index)).rows.length
    if (model(span, order.slice(0, index + 1)).rows.length > without) return read
  }
  return undefined
}
