/**
 * All scenarios on the real Kafka and Postgres: what comes in one run is played by a service, what comes again by a reparse. The
 * original's tracks, which item has made which rows, are read from the tables.
 */
import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../../src/core/logger.ts'
import { json, type Stream, start, topic } from '../../../src/index.ts'
import { openReparse } from '../../../src/reparse/openReparse.ts'
import type { Selection } from '../../../src/reparse/selection.ts'
import { type Item, Notes, planOf, type Scenario, scenarios } from '../../conformance/datapipe.ts'
import { expectedHere } from '../../conformance/differences.ts'
import { brokers, freshDatabase, freshName, freshTopic, produce } from '../../support/services.ts'

const database = await freshDatabase()

// With the columns that tracking adds, for those that no scenario writes.
const setUp = `
  drop table if exists result_items, mid_items, unique_items;
  create table result_items (id serial, number integer, tag text, mr_task integer, mr_offset bigint);
  create table mid_items (id serial, number integer, src integer, mr_task integer, mr_offset bigint);
  create table unique_items (id serial, key text unique, mr_task integer, mr_offset bigint);`

const models = { result_items: 'ResultItem', mid_items: 'MidItem', unique_items: 'UniqueItem' } as const
type TableName = keyof typeof models

/** What the database holds, in the words of the scenarios. */
async function found(group: string, numbers: readonly number[]) {
  const list = async (sql: string, values: unknown[] = []) =>
    (await database.query<{ text: string }>(sql, values)).map(({ text }) => text)
  const errors = await database.query<{ stream: string; offset: number; name: string }>(
    'select stream, record_offset::int as offset, error_name as name from millrace.errors where app = $1 order by id',
    [group],
  )
  return {
    rows: await list(`select number || ' ' || tag as text from result_items order by id`),
    mid: await list(`select number || ' of ' || src as text from mid_items order by id`),
    unique: await list('select key as text from unique_items order by id'),
    errors: errors.map(({ stream, offset, name }) => `${stream} ${numbers[offset]} ${name}`),
    tracks: await tracks(numbers),
  }
}

async function tracks(numbers: readonly number[]): Promise<string[]> {
  const made = new Map<string, string[]>()
  for (const name of Object.keys(models).sort((a, b) => (modelOf(a) < modelOf(b) ? -1 : 1))) {
    const rows = await database.query<{ stream: string; offset: number; count: number }>(
      `select t.stream, r.mr_offset::int as offset, count(*)::int as count
       from ${name} r left join millrace.tracked_tasks t on t.id = r.mr_task group by 1, 2 order by 1, 2`,
    )
    for (const { stream, offset, count } of rows) {
      // What is triggered is handed the rows of mid_items: ten times the number.
      const number = (numbers[offset] ?? Number.NaN) * (stream.startsWith('down') ? 10 : 1)
      const track = `${stream} ${number}`
      made.set(track, [...(made.get(track) ?? []), `${modelOf(name)} ${count}`])
    }
  }
  return Array.from(made, ([track, counts]) => `${track}: ${counts.join(' ')}`).sort()
}

function modelOf(name: string): string {
  return models[name as TableName]
}

async function serve(plan: Stream<unknown>, group: string): Promise<{ stopped: boolean }> {
  const app = await start(plan, {
    group,
    kafka: { brokers },
    postgres: { url: database.url },
    from: 'earliest',
    logger: silentLogger,
  })
  const done = app.done.then(
    () => false,
    () => true,
  )
  try {
    await app.caughtUp().catch(() => {})
  } finally {
    await app.stop()
  }
  return { stopped: await done }
}

async function runAgain(plan: Stream<unknown>, group: string, selection: Selection): Promise<void> {
  const reparser = await openReparse(plan, {
    group,
    kafka: { brokers },
    postgres: { url: database.url },
    logger: silentLogger,
  })
  try {
    const planned = await reparser.plan(selection)
    expect((await reparser.run(planned, {})).state).toBe('done')
  } finally {
    await reparser.close()
  }
}

/** A second run of some of the items is one of those that have failed alike. */
async function selectionFor(group: string, numbers: readonly number[], again: readonly number[] | undefined) {
  if (again === undefined) return {}
  const [failed] = await database.query<{ fingerprint: string; offset: number }>(
    'select fingerprint, record_offset::int as offset from millrace.errors where app = $1',
    [group],
  )
  expect(again).toEqual([numbers[failed?.offset ?? -1]])
  return { fingerprint: failed?.fingerprint ?? '' }
}

async function play({ items: numbers, runs }: Scenario) {
  await database.query(setUp)
  const name = await freshTopic()
  const group = freshName('group')
  const items = topic(name, json<Item>())
  await produce(
    name,
    numbers.map((number) => ({ value: JSON.stringify({ number }) })),
  )
  const played = []
  for (const [index, run] of runs.entries()) {
    const notes = new Notes()
    const plan = planOf(run, notes, items)
    let stopped = false
    if (index === 0) ({ stopped } = await serve(plan, group))
    else await runAgain(plan, group, await selectionFor(group, numbers, run.items))
    played.push({ ...(await found(group, numbers)), calls: notes.calls, total: notes.total, stopped })
  }
  return played
}

describe('datapipe, on Kafka and Postgres', () => {
  test.each(scenarios)('$name: $about', async (scenario) => {
    const expected = expectedHere(scenario)
    const played = await play(scenario)
    expect(played).toHaveLength(expected.length)
    for (const [index, run] of played.entries()) {
      const { total, ...rest } = { stopped: false, mid: [], unique: [], ...expected[index] }
      const { total: foundTotal, ...others } = run
      expect({ run: index, ...others }).toEqual({ run: index, ...rest })
      // Without results nothing is triggered that could look.
      if (foundTotal !== undefined && total !== undefined) expect(foundTotal).toBe(total)
    }
  })
})
