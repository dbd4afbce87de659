/** What running items again does where plans and logs are not simple. */
import { beforeEach, describe, expect, test } from 'vitest'
import { json, type ProcessContext, type Stream, segment, signal, stream, table, topic } from '../../../src/index.ts'
import { notesOf } from '../../../src/reparse/steps.ts'
import { leavesOf } from '../../../src/stream.ts'
import { createMemoryBroker, type MemoryBroker } from '../../../src/testing/memoryBroker.ts'
import { freshDatabase, freshName } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { catchUp, reparse, type Surroundings, serve, shadow } from './_reparse.ts'

interface Item {
  readonly n: number
}

const items = topic('items', json<Item>())
const sums = table<{ sum: number; first: number }>('sums', { track: true })
const totals = table<{ k: string; n: number; last: number }>('totals', {
  key: 'k',
  onConflict: { n: 'add' },
  track: true,
})
const all = table<{ n: number; version: number }>('all_items', { track: true })
const parents = table<{ id: number }>('parents', { track: true })

const setUp = `
  drop table if exists sums, totals, all_items, children, parents, plain, marks;
  create table sums (sum integer, first integer);
  create table totals (k text primary key, n integer, last integer);
  create table all_items (n integer, version integer);
  create table parents (id integer primary key);
  create table children (id integer, parent integer references parents);
  create table plain (n integer);
  create table marks (n integer, stream text, version integer);`
const database = await freshDatabase()

let broker: MemoryBroker
let surroundings: Surroundings

beforeEach(async () => {
  await database.query(`${setUp}`)
  await database.query(`do $$ begin
    if to_regclass('millrace.contributions') is not null then truncate millrace.contributions; end if; end $$`)
  broker = createMemoryBroker()
  broker.createTopic('items', 1)
  surroundings = { broker, url: database.url, group: freshName('group') }
})

function send(...numbers: readonly number[]): void {
  for (const n of numbers) {
    const key = Buffer.from(n % 2 === 0 ? 'even' : 'odd')
    broker.append('items', 0, { key, value: Buffer.from(JSON.stringify({ n })), headers: [], timestamp: n * 1_000 })
  }
}

const plain = (version: number): Stream<unknown> =>
  stream('items')
    .from(items)
    .to(all, ({ n }) => ({ n, version }))
const versions = () =>
  database
    .query('select n, version from all_items order by n')
    .then((rows) => rows.map(({ n, version }) => `${n} v${version}`))

describe('groups', () => {
  const grouped = (factor: number) =>
    stream('items')
      .from(items)
      .batch({ max: 3, maxWaitMs: 50 })
      .map((group) => ({ sum: group.reduce((sum, { n }) => sum + n * factor, 0), first: group[0]?.n ?? -1 }))
      .to(sums)
  const rows = () => database.query('select sum, first from sums order by first')

  test('are run again whole, where a range cuts through them', async () => {
    send(1, 2, 3, 4, 5, 6, 7)
    await catchUp(grouped(1), surroundings)
    expect(await rows()).toEqual([
      { sum: 6, first: 1 },
      { sum: 15, first: 4 },
      { sum: 7, first: 7 },
    ])
    const report = await reparse(grouped(10), surroundings, { fromOffset: 4, toOffset: 5 })
    expect(report).toMatchObject({ state: 'done', items: 3 })
    expect(await rows()).toEqual([
      { sum: 6, first: 1 },
      { sum: 150, first: 4 },
      { sum: 7, first: 7 },
    ])
    expect(await database.query('select count(*)::int as n from millrace.tracked_members')).toEqual([{ n: 6 }])
  })

  test('are not run again by key', async () => {
    send(1, 2, 3)
    await catchUp(grouped(1), surroundings)
    await expect(reparse(grouped(10), surroundings, { key: 'odd' })).rejects.toThrow(/have made rows together/)
  })
})

describe('what is chosen', () => {
  test('by key, by time and by offset is run again, and nothing else', async () => {
    send(1, 2, 3, 4, 5)
    await catchUp(plain(1), surroundings)
    await reparse(plain(2), surroundings, { key: 'even' })
    expect(await versions()).toEqual(['1 v1', '2 v2', '3 v1', '4 v2', '5 v1'])
    await reparse(plain(3), surroundings, { fromTime: new Date(2_500), toTime: new Date(4_000) })
    expect(await versions()).toEqual(['1 v1', '2 v2', '3 v3', '4 v2', '5 v1'])
    await reparse(plain(4), surroundings, { fromOffset: 4 })
    expect(await versions()).toEqual(['1 v1', '2 v2', '3 v3', '4 v2', '5 v4'])
    await expect(reparse(plain(5), surroundings, { partition: 3 })).resolves.toMatchObject({ items: 0, state: 'done' })
  })

  test('and is not in the log any more keeps its rows, and is told', async () => {
    send(1, 2, 3, 4)
    await catchUp(plain(1), surroundings)
    broker.deleteBefore('items', 0, 2)
    const report = await reparse(plain(2), surroundings)
    expect(report).toMatchObject({ state: 'done', items: 2 })
    expect(report.gone).toEqual([{ table: 'public.all_items', rows: 2, items: 2 }])
    expect(await versions()).toEqual(['1 v1', '2 v1', '3 v2', '4 v2'])
  })
})

describe('a break', () => {
  test('leaves what comes behind it as it is, and the reparse goes on there', async () => {
    send(1, 2, 3, 4)
    await catchUp(plain(1), surroundings)
    let isBroken = true
    const broken = stream('items')
      .from(items)
      .tap(({ n }) => {
        if (n === 3 && isBroken) signal.break('not yet')
      })
      .to(all, ({ n }) => ({ n, version: 2 }))
    const report = await reparse(broken, surroundings)
    expect(report).toMatchObject({ state: 'stopped', broken: [{ partition: 0, offset: 2, reason: 'not yet' }] })
    expect(await versions()).toEqual(['1 v2', '2 v2', '3 v1', '4 v1'])
    isBroken = false
    expect(await reparse(broken, surroundings)).toMatchObject({ id: report.id, state: 'done', items: 2 })
    expect(await versions()).toEqual(['1 v2', '2 v2', '3 v2', '4 v2'])
  })

  test('with another plan it begins anew', async () => {
    send(1, 2)
    await catchUp(plain(1), surroundings)
    const broken = stream('items')
      .from(items)
      .tap(() => signal.break('no'))
      .to(all, ({ n }) => ({ n, version: 2 }))
    const first = await reparse(broken, surroundings)
    const second = await reparse(plain(3), surroundings)
    expect(second).toMatchObject({ state: 'done', items: 2 })
    expect(await database.query('select id, state from millrace.reparses order by id desc limit 2')).toEqual([
      { id: second.id, state: 'done' },
      { id: first.id, state: 'dropped' },
    ])
  })
})

describe('streams that trigger others, two levels deep', () => {
  type Level = 'top' | 'middle' | 'bottom'
  type End = 'result' | 'none' | 'ignore' | 'throw'
  const marks = table<{ n: number; stream: string; version: number }>('marks', { track: true })

  /** Each level writes `rows` rows, and ends as it is told. */
  const cascade = (version: number, rows: number, ends: Partial<Record<Level, End>> = {}): Stream<unknown> => {
    const level = (name: Level) => ({
      process(item: Item, ctx: ProcessContext): Item | undefined {
        for (let row = 0; row < rows; row += 1) ctx.write(marks, { n: item.n, stream: name, version })
        const end = ends[name] ?? 'result'
        if (end === 'ignore') return signal.ignore()
        if (end === 'throw') throw new Error('falls')
        return end === 'none' ? undefined : item
      },
    })
    const bottom = segment('bottom', (given: Stream<Item>) => given.process(level('bottom')))
    const middle = segment('middle', (given: Stream<Item>) => given.process(level('middle')).triggers(bottom))
    return stream('items').from(items).process(level('top')).triggers(middle)
  }
  const left = async () =>
    (
      await database.query<{ stream: string; version: number; rows: number }>(
        'select stream, version, count(*)::int as rows from marks group by 1, 2 order by stream desc, version',
      )
    ).map(({ stream: of, version, rows }) => `${of} v${version} ${rows}`)

  test.each<[string, Partial<Record<Level, End>>, readonly string[]]>([
    ['stands everywhere: all rows are replaced, by fewer', {}, ['top v2 1', 'middle v2 1', 'bottom v2 1']],
    ['has no result any more: what it triggered goes, down to the last', { top: 'none' }, ['top v2 1']],
    ['has none in the middle: what that triggered goes', { middle: 'none' }, ['top v2 1', 'middle v2 1']],
    ['is ignored: everything stays', { top: 'ignore' }, ['top v1 2', 'middle v1 2', 'bottom v1 2']],
    ['fails: everything stays', { top: 'throw' }, ['top v1 2', 'middle v1 2', 'bottom v1 2']],
    [
      'is ignored in the middle: from there on it stays',
      { middle: 'ignore' },
      ['top v2 1', 'middle v1 2', 'bottom v1 2'],
    ],
    ['fails at the bottom: that stays', { bottom: 'throw' }, ['top v2 1', 'middle v2 1', 'bottom v1 2']],
  ])('an item that %s', async (_, ends, expected) => {
    send(1)
    await catchUp(cascade(1, 2), surroundings)
    expect(await left()).toEqual(['top v1 2', 'middle v1 2', 'bottom v1 2'])
    expect(await reparse(cascade(2, 1, ends), surroundings)).toMatchObject({ state: 'done', items: 1 })
    expect(await left()).toEqual(expected)
  })
})

describe('tables', () => {
  test('that are not tracked are refused, also those that no step names', async () => {
    const untracked = table<{ n: number }>('plain')
    const named = stream('items')
      .from(items)
      .to(untracked, ({ n }) => ({ n }))
    const unnamed = stream('items')
      .from(items)
      .tap(({ n }, ctx) => ctx.write(untracked, { n }))
    send(1)
    await catchUp(unnamed, surroundings)
    await expect(reparse(named, surroundings)).rejects.toThrow(/table "plain" is not tracked/)
    await expect(reparse(unnamed, surroundings)).rejects.toThrow(/table "plain" is not tracked/)
    expect(await database.query('select n from plain')).toEqual([{ n: 1 }])
  })

  test('that the plan writes no more lose what it has made', async () => {
    send(1, 2)
    await catchUp(
      stream('items')
        .from(items)
        .to(all, ({ n }) => ({ n, version: 1 }))
        .to(totals, ({ n }) => ({ k: 'x', n, last: n })),
      surroundings,
    )
    expect(await reparse(stream('items').from(items), surroundings)).toMatchObject({ state: 'done', items: 2 })
    expect(await versions()).toEqual([])
    expect(await database.query('select * from totals')).toEqual([])
  })

  test('that held rows before they were tracked keep what was there', async () => {
    await database.query(`insert into totals values ('x', 100, 7), ('y', 5, 5)`)
    const summed = (factor: number) =>
      stream('items')
        .from(items)
        .to(totals, ({ n }) => ({ k: 'x', n: n * factor, last: n }))
    // As it is noted when a table is tracked for the first time.
    await database.query(`do $$ begin
      if to_regclass('millrace.tracked_tables') is not null then
        delete from millrace.tracked_tables where name = 'public.totals'; end if; end $$`)
    send(1, 2)
    await catchUp(summed(1), surroundings)
    await reparse(summed(10), surroundings)
    expect(await database.query('select * from totals order by k')).toEqual([
      { k: 'x', n: 130, last: 2 },
      { k: 'y', n: 5, last: 5 },
    ])
    await reparse(stream('items').from(items), surroundings)
    expect(await database.query('select * from totals order by k')).toEqual([
      { k: 'x', n: 100, last: 7 },
      { k: 'y', n: 5, last: 5 },
    ])
  })

  test('whose rows others point to keep them: the item is collected', async () => {
    const made = (shift: number) =>
      stream('items')
        .from(items)
        .to(parents, ({ n }) => ({ id: n + shift }))
    send(1, 2, 3)
    await catchUp(made(0), surroundings)
    await database.query('insert into children values (1, 2)')
    const report = await reparse(made(10), surroundings)
    expect(report.outcomes).toMatchObject({ done: 2, collected: 1 })
    expect(await database.query('select id from parents order by id')).toEqual([{ id: 2 }, { id: 11 }, { id: 13 }])
    expect(
      await database.query('select record_offset::int as at, error_message from millrace.errors where app = $1', [
        surroundings.group,
      ]),
    ).toEqual([{ at: 1, error_message: expect.stringContaining('foreign key') }])
  })
})

test('an item that comes late out of the collector does not overwrite a newer row', async () => {
  let isDown = true
  const last = stream('items')
    .from(items)
    .tap(({ n }) => {
      if (n === 1 && isDown) throw new Error('down')
    })
    .to(totals, ({ n }) => ({ k: 'x', n: 1, last: n }))
  send(1, 2, 3)
  const app = await serve(last, surroundings)
  try {
    await app.caughtUp()
    expect(await database.query('select * from totals')).toEqual([{ k: 'x', n: 2, last: 3 }])
    isDown = false
    await database.query(`update millrace.errors set state = 'replaying' where app = $1`, [surroundings.group])
    await until('the item is settled', async () => {
      const [row] = await database.query<{ state: string }>('select state from millrace.errors where app = $1', [
        surroundings.group,
      ])
      return row?.state === 'done'
    })
    expect(await database.query('select * from totals')).toEqual([{ k: 'x', n: 3, last: 3 }])
  } finally {
    await app.stop()
  }
})

describe('topics', () => {
  const emitted = topic('emitted', json<Item>())
  /** Each test has a table of its own: one that other groups write is not made anew. */
  const emitting = (version: number, name: string): Stream<unknown> =>
    stream('items')
      .from(items)
      .to(emitted)
      .to(
        table<{ n: number; version: number }>(name, {
          track: true,
          create: `create table ${name} (n integer, version integer)`,
        }),
        ({ n }) => ({ n, version }),
      )
  const sent = () => broker.records({ topic: emitted.name, partition: 0 }).map(({ value }) => String(value))
  const wanted = ['{"n":1}', '{"n":2}']

  test.each([['reparse', reparse] as const, ['shadow', shadow] as const])(
    'of a %s get nothing a second time',
    async (name, again) => {
      send(1, 2)
      await catchUp(emitting(1, name), surroundings)
      expect(sent()).toEqual(wanted)
      await again(emitting(2, name), surroundings)
      expect(await database.query(`select n, version from ${name} order by n`)).toEqual([
        { n: 1, version: 2 },
        { n: 2, version: 2 },
      ])
      expect(sent()).toEqual(wanted)
      expect(await database.query('select from millrace.outbox')).toEqual([])
    },
  )

  test('are named in the plan', () => {
    expect(notesOf(leavesOf(emitting(1, 'any')))).toEqual([
      'to:emitted: what topic "emitted" was sent stays there, and nothing is sent again',
    ])
  })
})
