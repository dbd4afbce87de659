/**
 * The law of emits: whatever is killed, cut, sent twice and undone, a reader that drops repeats sees what a run gives in which nothing
 * happens and in which undone items have never been: nothing is missing, nothing is there twice, and what the records of a key give is in
 * their order.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  count,
  json,
  type Segment,
  type Stream,
  segment,
  signal,
  slot,
  stream,
  table,
  text,
  topic,
  tumbling,
} from '../../src/index.ts'
import { check, records, rows } from '../../src/testing/index.ts'

/** More in a night: `MILLRACE_LAW_RUNS=2000 npx vitest run test/runtime/emitLaw.spec.ts`. */
const numRuns = Number(process.env.MILLRACE_LAW_RUNS ?? 60)
const timeout = 300_000

interface Event {
  readonly key: string
  readonly n: number
}

const events = topic('events', json<Event>())
const keyed = topic('keyed', json<Event>(), { key: ({ key }) => key })
const spread = topic('spread', text())
const saved = table<Event>('saved')
const base = stream('s').from(events)

const values = fc.record({ key: fc.constantFrom('a', 'b', 'c'), n: fc.integer({ min: 0, max: 40 }) })
const input = records(events, values, ({ key }) => key)

/** Undoes some items when they have emitted. */
const undoing = ({ n }: { readonly n: number }) => {
  if (n % 5 === 1) signal.ignore('one')
  if (n % 7 === 3) throw new Error('three')
  if (n % 11 === 4) signal.continue()
}
const isUndone = ({ n }: Event) => n % 5 === 1 || n % 7 === 3
const refuses = (_: string, row: object) => ((row as Event).n % 13 === 12 ? '23514' : undefined)

test('what is emitted is that of the items that stand', { timeout }, () =>
  check(
    base
      .to(keyed)
      .to(saved)
      .to(spread, ({ n }) => `${n}`)
      .tap(undoing),
    {
      input,
      numRuns: numRuns * 2,
      refuses,
      model: (given) => {
        const stand = given(events).filter((event) => !isUndone(event) && event.n % 13 !== 12)
        return [
          rows(keyed, stand),
          rows(saved, stand),
          rows(
            spread,
            stand.map(({ n }) => `${n}`),
          ),
        ]
      },
    },
  ),
)

const inside = <T extends { readonly n: number }>(name: string): Segment<T, T> =>
  segment(name, (from: Stream<T>) => from.to(spread, ({ n }) => `${name} ${n}`).tap(undoing))

const plans: Readonly<Record<string, Stream<unknown> | readonly Stream<unknown>[]>> = {
  'asynchronous calls': base
    .mapAsync(async (event, ctx) => {
      ctx.write(keyed, event)
      await Promise.resolve()
      ctx.write(spread, `${event.n}`, { headers: { key: event.key } })
      undoing(event)
      return event
    })
    .to(keyed),
  'triggered streams': base
    .to(keyed)
    .tap(({ n }) => {
      if (n % 3 === 0) signal.ignore('three')
    })
    .triggers(inside('after')),
  branches: base
    .branch(({ n }) => n % 2 === 0)
    .map((side, at) =>
      side
        .to(spread, ({ n }) => `${at} ${n}`)
        .tap(undoing)
        .to(keyed),
    ),
  'a pipe': base.process({
    process(event: Event, ctx) {
      ctx.write(keyed, event)
      undoing(event)
      return event.n
    },
  }),
  tombstones: base.tap((event, ctx) => {
    if (event.n % 2 === 0) ctx.write(keyed, null, { key: event.key })
    else ctx.write(keyed, event)
    undoing(event)
  }),
}

describe('the laws hold with', () => {
  test.each(Object.entries(plans))('%s', { timeout }, (_, plan) => check(plan, { input, numRuns }))
})

test('dependent streams, which stand by themselves', { timeout }, () =>
  check(base.dependsOn(inside('before')).to(keyed).tap(undoing), { input, numRuns, except: ['undo leaves no trace'] }),
)

test('windows, and what comes too late for them', { timeout }, () => {
  const counted = base
    .keyBy(({ key }) => key, { sameKey: true })
    .window(tumbling({ milliseconds: 10 }), { time: ({ n }) => n, emit: 'close' })
    .aggregate({ n: count() })
  const plan = [
    counted.to(spread, ({ key, n, window }) => `${key} ${window.start.getTime()} ${n}`),
    counted.late().to(keyed),
  ]
  return check(plan, { input, numRuns, except: ['key locality'] })
})

test('the context scope, but for where batches are cut', { timeout }, () => {
  const sum = slot('sum', () => 0)
  const plan = base
    .tap(({ n }, ctx) => void ctx.scope.context.update(sum, (before) => before + n))
    .to(keyed)
    .tap(undoing)
  return check(plan, { input, numRuns, except: ['chunk invariance', 'key locality'] })
})

test('a plan that emits twice by itself is found out', { timeout }, async () => {
  let calls = 0
  const plan = () =>
    base.tap((event, ctx) => {
      if (calls++ % 10 === 9) ctx.write(keyed, event)
      ctx.write(keyed, event)
    })
  await expect(check(plan, { input, numRuns: 200 })).rejects.toThrow('The records of topic "keyed" differ')
})
