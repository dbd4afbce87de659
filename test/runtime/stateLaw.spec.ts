/**
 * The law of state: whatever is killed, cut, undone and done again, rows are those of an undisturbed run; and an item that
 * is undone leaves nothing in state.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  calendarWindow,
  collect,
  count,
  countWindow,
  globalWindow,
  hopping,
  json,
  mean,
  type Stream,
  session,
  signal,
  sliding,
  stream,
  sum,
  table,
  topic,
  tumbling,
  type WindowSpec,
} from '../../src/index.ts'
import { check, records, testDriver } from '../../src/testing/index.ts'

/** More in a night: `MILLRACE_LAW_RUNS=2000 npx vitest run test/runtime/stateLaw.spec.ts`. */
const numRuns = Number(process.env.MILLRACE_LAW_RUNS ?? 30)

interface Event {
  readonly key: string
  readonly n: number
  readonly at: number
}

const events = topic('events', json<Event>())
const out = table<Record<string, unknown>>('out')
const late = table<Event>('late')

const values = fc.record({
  key: fc.constantFrom('a', 'b', 'c'),
  n: fc.integer({ min: 0, max: 9 }),
  at: fc.integer({ min: 0, max: 60 }),
})
const input = records(events, values, ({ key }) => key)
const keyed = (from: Stream<Event>) => from.keyBy(({ key }) => key, { sameKey: true })
const base = stream('s').from(events)

/** Undoes some items behind a step: after they have changed its state. */
const undoing =
  <T>(n: (value: T) => number) =>
  (value: T) => {
    const sums = n(value)
    if (sums % 5 === 1) signal.ignore('one')
    if (sums % 7 === 3) throw new Error('three')
    if (sums % 11 === 4) signal.continue()
  }

const ms = (milliseconds: number) => ({ milliseconds })
const windows: Readonly<Record<string, WindowSpec>> = {
  tumbling: tumbling(ms(10)),
  hopping: hopping(ms(20), { every: ms(5) }),
  sliding: sliding(ms(7)),
  session: session(ms(4)),
  calendar: calendarWindow('day', { zone: 'Pacific/Apia' }),
  count: countWindow(3),
  'global by count': globalWindow({ count: 2 }),
  'global by time': globalWindow({ every: ms(10) }),
}

const windowed = (spec: WindowSpec, emit: 'close' | 'update' | { every: { milliseconds: number } }) =>
  keyed(base)
    .window(spec, {
      time: ({ at }) => at,
      grace: ms(3),
      outOfOrderness: ms(2),
      ...(spec.kind === 'count' || spec.kind === 'global' ? {} : { emit }),
    })
    .aggregate({ n: count(), total: sum(({ n }) => n), all: collect(({ n }) => n), mean: mean(({ n }) => n) })

const plans: Readonly<Record<string, Stream<unknown> | readonly Stream<unknown>[]>> = {
  stateful: keyed(base)
    .stateful({ name: 'sums', initial: () => 0 }, (event, state) => ({
      key: event.key,
      sum: state.update((n) => n + event.n),
    }))
    .tap(undoing(({ sum }) => sum))
    .to(out),
  'stateful, with objects changed in place': keyed(base)
    .stateful({ name: 'lists', initial: (): number[] => [] }, ({ key, n }, state) => {
      const list = state.get()
      list.push(n)
      state.set(list)
      return { key, n: list.length, total: list.reduce((a, b) => a + b, 0) }
    })
    .tap(undoing(({ total }) => total))
    .to(out),
  'two in a row': keyed(base)
    .stateful({ name: 'first', initial: () => 0 }, (event, state) => ({
      ...event,
      n: state.update((n) => n + event.n),
    }))
    .keyBy(({ key }) => key, { sameKey: true })
    .stateful({ name: 'second', initial: () => 0 }, (event, state) => ({
      key: event.key,
      n: state.update((n) => n + event.n),
    }))
    .tap(undoing(({ n }) => n))
    .to(out),
  dedupe: keyed(base)
    .dedupe({ by: ({ n }) => n, within: ms(20), time: ({ at }) => at })
    .tap(undoing(({ n }) => n))
    .to(late),
  reduce: keyed(base)
    .reduce((a, b) => (a.n > b.n ? a : b))
    .tap(undoing(({ value }) => value.n))
    .to(out, ({ key, value }) => ({ key, n: value.n })),
  'hours of hours': keyed(base)
    .window(tumbling(ms(5)), { time: ({ at }) => at, grace: ms(3) })
    .aggregate({ n: count() })
    .named('small')
    .keyBy(({ key }) => key, { sameKey: true })
    .window(tumbling(ms(20)), { time: ({ window }) => window.start })
    .aggregate({ windows: count(), n: sum(({ n }) => n) })
    .to(out, ({ key, window, windows, n }) => ({ key, at: window.start, windows, n })),
}
for (const [name, spec] of Object.entries(windows)) {
  const isPaced = spec.kind === 'count' || spec.kind === 'global'
  const emits = isPaced ? (['close'] as const) : (['close', 'update'] as const)
  for (const emit of emits) {
    const results = windowed(spec, emit)
    Object.assign(plans, {
      [`${name}, on ${emit}`]: [
        results
          .tap(undoing(({ total }) => total ?? 0))
          .to(out, ({ window, ...rest }) => ({ ...rest, at: window.start, to: window.end })),
        results.late().to(late),
      ],
    })
  }
}
const paced = windowed(tumbling(ms(10)), { every: ms(3) })
Object.assign(plans, {
  'tumbling, every so often': paced.to(out, ({ window, ...rest }) => ({ ...rest, at: window.start })),
})

describe('rows are those of an undisturbed run', () => {
  test.each(Object.keys(plans))('%s', { timeout: 300_000 }, (name) =>
    check(plans[name] as Stream<unknown>, {
      ...{ input, numRuns, maxRecords: 30, seed: 3 },
      // Whether a value is late depends on the newest one of its partition, whatever its key.
      except: ['key locality'],
    }),
  )
})

describe('an item that is undone leaves nothing in state', () => {
  const undone = ({ n }: Event) => n % 3 === 1
  const ignoring = (from: Stream<Event>, where: 'before' | 'behind') =>
    where === 'before' ? from.tap((event) => void (undone(event) && signal.ignore())) : from
  test.each(Object.keys(windows))('%s windows', async (name) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(values, { maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        async (given, maxItems) => {
          const rowsOf = async (some: readonly Event[], undoes: boolean) => {
            const spec = windows[name] as WindowSpec
            const results = keyed(base)
              .window(spec, { time: ({ at }) => at, grace: ms(3) })
              .aggregate({ n: count(), total: sum(({ n }) => n) })
              .to(out, ({ window, ...rest }) => ({ ...rest, at: window.start }))
            // A leaf of its own, which comes when the item has entered its windows.
            const leaf = ignoring(
              base.mapAsync(async (event) => event),
              undoes ? 'before' : 'behind',
            ).to(late)
            const t = testDriver([results, leaf], { chunk: 5, maxItems })
            await t.sendAll(events, some, ({ key, at }) => ({ key, timestamp: new Date(at) }))
            const rows = t.rows(out)
            await t.stop()
            return rows
          }
          expect(await rowsOf(given, true)).toEqual(
            await rowsOf(
              given.filter((event) => !undone(event)),
              false,
            ),
          )
        },
      ),
      { numRuns },
    )
  })
})
