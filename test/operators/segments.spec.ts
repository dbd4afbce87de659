import { describe, expect, test } from 'vitest'
import { json, type Stream, segment, signal, slot, stream, table, topic } from '../../src/index.ts'
import { type TestDriver, testDriver } from '../../src/testing/index.ts'

const numbers = topic('numbers', json<number>())
const rows = table<{ by: string; n: number }>('rows')
const base = stream('own').from(numbers)
const seen = slot('seen', () => 0)

const writes = (name: string) => segment(name, (given: Stream<number>) => given.to(rows, (n) => ({ by: name, n })))
const acting = (name: string, at: number, act: () => void) =>
  segment(name, (given: Stream<number>) =>
    given.to(rows, (n) => ({ by: name, n })).tap((n) => void (n === at && act())),
  )
const broken = () => {
  throw new Error('broken')
}

const by = (t: TestDriver, name: string) => t.rows(rows).flatMap(({ by, n }) => (by === name ? [n] : []))
const outcomes = (t: TestDriver, name: string) =>
  t.outcomes().flatMap(({ stream, outcome }) => (stream === name ? [outcome] : []))

async function run(plan: Stream<unknown>, values = [1, 2, 3]): Promise<TestDriver> {
  const t = testDriver(plan)
  await t.sendAll(numbers, values)
  return t
}

describe('dependsOn', () => {
  test('runs fully on the same items first, and shares its context', async () => {
    const counting = segment('counting', (given: Stream<number>) =>
      given.process({ process: (_, ctx) => ctx.scope.context.update(seen, (n) => n + 1) }),
    )
    const t = await run(base.dependsOn(counting).to(rows, (n, ctx) => ({ by: `of ${ctx.scope.context.get(seen)}`, n })))
    expect(t.rows(rows)).toEqual([1, 2, 3].map((n) => ({ by: 'of 3', n })))
    await t.stop()
  })

  test.each([
    ['ignores', () => signal.ignore('two'), 'ignored', [1, 3]],
    ['fails', broken, 'collected', [1, 3]],
    ['ends early', () => signal.continue(), 'continued', [1, 2, 3]],
  ] as const)('an item that it %s goes on in the stream', async (_, act, ended, written) => {
    const t = await run(base.dependsOn(acting('first', 2, act)).to(rows, (n) => ({ by: 'own', n })))
    expect([by(t, 'first'), by(t, 'own')]).toEqual([written, [1, 2, 3]])
    expect(outcomes(t, 'first')[1]).toBe(ended)
    expect(outcomes(t, 'own')).toEqual(['done', 'done', 'done'])
    expect(t.errors().map(({ stream }) => stream)).toEqual(ended === 'collected' ? ['first'] : [])
    await t.stop()
  })

  test('what it did stays when the item is undone in the stream', async () => {
    const t = await run(base.dependsOn(writes('first')).tap((n) => void (n === 2 && signal.ignore())))
    expect([by(t, 'first'), outcomes(t, 'own')]).toEqual([
      [1, 2, 3],
      ['done', 'ignored', 'done'],
    ])
    await t.stop()
  })

  test('has to come before steps that work on several items', () => {
    const late = base.batch({ max: 2 }).dependsOn(segment('first', (given: Stream<number[]>) => given))
    expect(() => testDriver(late).send(numbers, 1)).rejects.toThrow(
      /dependsOn\(\) stands behind "batch".*MR-PLAN-DEPENDS/s,
    )
  })
})

describe('triggers', () => {
  test('hands over all results once, in the order in which they were given, with the context', async () => {
    const runs: string[] = []
    const noting = (name: string) =>
      segment(name, (given: Stream<number>) =>
        given.process({
          prepare: (all, ctx) => void runs.push(`${name} ${all} ${ctx.scope.context.get(seen)}`),
          process: () => {},
        }),
      )
    const t = await run(
      base
        .process({ process: (n, ctx) => ctx.scope.context.update(seen, (sum) => sum + n) && n * 10 })
        .triggers(noting('b'))
        .triggers(noting('a')),
    )
    expect(runs).toEqual(['b 10,20,30 6', 'a 10,20,30 6'])
    await t.stop()
  })

  test('is not run without results', async () => {
    let runs = 0
    const counting = segment('counting', (given: Stream<number>) =>
      given.process({ prepare: () => void runs++, process: () => {} }),
    )
    const t = await run(base.process({ process: () => undefined }).triggers(counting))
    expect([runs, outcomes(t, 'counting')]).toEqual([0, []])
    await t.stop()
  })

  test('after a break it has the results so far', async () => {
    const t = await run(base.tap((n) => void (n === 3 && signal.break('three'))).triggers(writes('then')))
    expect(by(t, 'then')).toEqual([1, 2])
    await t.stop()
  })

  test('a failure in it is collected there, and leaves what the stream wrote', async () => {
    const t = await run(base.to(rows, (n) => ({ by: 'own', n })).triggers(acting('then', 2, broken)))
    expect([by(t, 'own'), by(t, 'then')]).toEqual([
      [1, 2, 3],
      [1, 3],
    ])
    expect(t.errors().map(({ stream, step }) => `${stream} ${step}`)).toEqual(['then then/tap'])
    expect([outcomes(t, 'own'), outcomes(t, 'then')]).toEqual([
      ['done', 'done', 'done'],
      ['done', 'collected', 'done'],
    ])
    await t.stop()
  })

  test('what it did is undone with the result that it was given', async () => {
    const grouped = base
      .triggers(writes('then'))
      .batch({ max: 3 })
      .tap((group) => void (group.includes(2) && group.length < 3 && broken()))
    const t = await run(
      base
        .triggers(writes('then'))
        .mapAsync(async (n) => n)
        .tap((n) => void (n === 2 && signal.ignore())),
    )
    expect([by(t, 'then'), outcomes(t, 'own')]).toEqual([
      [1, 3],
      ['done', 'ignored', 'done'],
    ])
    expect(grouped.describe()).toContain('triggers:then')
    await t.stop()
  })

  test('both run alone, through via', async () => {
    const t = await run(stream('alone').from(numbers).via(writes('then')))
    expect(by(t, 'then')).toEqual([1, 2, 3])
    await t.stop()
  })
})
