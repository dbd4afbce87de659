/** Rows that a table refuses fall while the transaction stands: what that costs, and that it is the same as without. */
import { expect, test } from 'vitest'
import { countStatements } from '../../../bench/plans/statements.ts'
import { json, retry, type Stream, stream, table, topic } from '../../../src/index.ts'
import { createMemoryBroker } from '../../../src/testing/memoryBroker.ts'
import { freshDatabase, freshName } from '../../support/services.ts'
import { catchUp } from '../reparse/_reparse.ts'

interface Item {
  readonly n: number
}

const database = await freshDatabase(`
  create table checked (n integer not null check (n >= 0));
  create table tracked (n integer not null check (n >= 0));`)
const items = topic('items', json<Item>())
const checked = table<{ n: number }>('checked')
const tracked = table<{ n: number }>('tracked', { track: true })
const total = 20_000
const counted = countStatements()

/** Each item as often as it says, those that are refused after one that is not. */
const planOf = (sink: typeof checked, isRefused: (n: number) => boolean): Stream<Item> =>
  stream('items')
    .from(items)
    .errorPolicy({ retry: retry.backoff({ attempts: 3, firstMs: 60_000 }), budget: { inARow: 1_000, share: 1 } })
    .flatMap(({ n }) => (isRefused(n) ? [{ n }, { n: -1 - n }] : [{ n }]))
    .to(sink)

async function run(sink: typeof checked, isRefused: (n: number) => boolean) {
  await database.query(`truncate ${sink.name}`)
  const broker = createMemoryBroker({ chunkRecords: total })
  broker.createTopic('items', 1)
  for (let n = 0; n < total; n += 1) {
    broker.append('items', 0, { key: null, value: Buffer.from(JSON.stringify({ n })), headers: [], timestamp: n })
  }
  const group = freshName('group')
  const before = { ...counted }
  await catchUp(planOf(sink, isRefused), { broker, url: database.url, group, maxItems: total })
  const [made] = await database.query(`select count(*)::int as rows, sum(n)::int as sum from ${sink.name}`)
  const collected = await database.query<{ at: number; error_code: string; budget: string }>(
    `select e.record_offset::int as at, e.error_code, p.budget from millrace.errors e join millrace.progress p using (app)
     where app = $1 order by e.id`,
    [group],
  )
  return { made, collected, statements: counted.all - before.all, commits: counted.commits - before.commits }
}

function expectedOf(isRefused: (n: number) => boolean) {
  const standing = Array.from({ length: total }, (_, n) => n).filter((n) => !isRefused(n))
  return { rows: standing.length, sum: standing.reduce((sum, n) => sum + n, 0) }
}

// The first start makes the tables of millrace, whose texts look like commits.
await run(checked, () => false)

test.each([
  ['near together and far apart', new Set([3, 5_000, 5_001, 17_500, 19_999])],
  ['where one piece ends', new Set([3, 12_286, 12_287, 12_288, 12_289, 12_290, 15_000])],
  ['in a row from the first on', new Set([0, 1, 2, 3])],
  ['more than fall in place', new Set(Array.from({ length: 30 }, (_, index) => index * 600 + 7))],
])('%s', async (_, refused) => {
  const isRefused = (n: number) => refused.has(n)
  const clean = await run(checked, () => false)
  for (const sink of [checked, tracked]) {
    const { made, collected, statements, commits } = await run(sink, isRefused)
    expect(made).toEqual(expectedOf(isRefused))
    expect(collected.map(({ at }) => at)).toEqual([...refused])
    // What is counted after an item fell in place is what is kept.
    expect(new Set(collected.map(({ budget }) => budget)).size).toBe(1)
    if (refused.size > 10) continue
    expect(commits).toBe(clean.commits)
    const more = (statements - clean.statements) / refused.size
    expect(more).toBeLessThanOrEqual(3)
  }
})
