/** `millrace run` of a plan whose inputs end, in a process of its own, without Kafka. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Cli, type CliEnd } from '../service/_cli.ts'

const plan = 'test/integration/bounded/importPlan.ts'
const rowsOf = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `{"id":${from + index}}\n`).join('')

let folder: string
let path: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-import-'))
  path = join(folder, 'things.jsonl')
})
afterAll(() => rm(folder, { recursive: true }))

const things = () => freshDatabase('create table things (id integer primary key)')
const begin = (database: FreshDatabase, env: Record<string, string> = {}, ...flags: string[]) =>
  new Cli(['run', plan, ...flags], { brokers: '', database: database.url, env: { IMPORT_FILE: path, ...env } })

async function ids(database: FreshDatabase) {
  const rows = await database.query<{ id: number }>('select id from things order by id')
  return rows.map(({ id }) => id)
}

const upTo = (count: number) => Array.from({ length: count }, (_, id) => id)
const progressOf = (database: FreshDatabase) => database.query('select app, next_offset::int from millrace.progress')

test('runs it to the end, prints the report, and leaves no progress', async () => {
  await writeFile(path, rowsOf(0, 3_000))
  const database = await things()
  const end: CliEnd = await begin(database).ended
  expect(end).toMatchObject({ code: 0, err: '' })
  expect(end.out).toMatch(/^run: 1 transaction, .* s\n {2}stream "import" from .*: 3,000 items \(3,000 done\)\n/)
  expect(await ids(database)).toEqual(upTo(3_000))
  expect(await progressOf(database)).toEqual([])
}, 60_000)

test('says with its exit code that items were collected, or that the run was broken off', async () => {
  await writeFile(path, `${rowsOf(0, 10)}{"id":10\n${rowsOf(11, 20)}`)
  const database = await things()
  const collected = await begin(database).ended
  expect(collected.code).toBe(1)
  expect(collected.out).toContain('things.jsonl@10, step "from:')
  expect(collected.err).toMatch(/1 item was put into the error collector[\s\S]*MR-RUN-COLLECTED/)
  expect((await ids(database)).length).toBe(19)

  await writeFile(path, rowsOf(100, 120))
  const broken = await begin(database, { IMPORT_BREAK_AT: '105' }, '--group', 'import').ended
  expect(broken.code).toBe(4)
  expect(broken.out).toContain('things.jsonl@5: as told')
  expect(broken.out).toContain('14 unprocessed behind it')
  const rest = await begin(database, {}, '--group', 'import').ended
  expect(rest.code).toBe(0)
  expect(rest.out).toContain('earlier runs of this name have dealt with 5 items')
  expect((await ids(database)).filter((id) => id >= 100).length).toBe(20)
}, 60_000)

test('that was stopped has failed, and nothing was committed', async () => {
  await writeFile(path, rowsOf(0, 2_000))
  const database = await things()
  const running = begin(database, { IMPORT_SLOW_MS: '1000', MILLRACE_LOG_LEVEL: 'info' })
  await until('the run reads', () => running.err.includes('"reading"'))
  running.process.kill('SIGTERM')
  const end = await running.ended
  expect(end.code).toBe(1)
  expect(end.err).toContain('MR-RUN-STOPPED')
  expect(await ids(database)).toEqual([])
  expect(await progressOf(database)).toEqual([])
}, 60_000)

test('that was killed goes on where it was, and every row is there once', async () => {
  const count = 5_000
  await writeFile(path, rowsOf(0, count))
  const database = await freshDatabase('create table things (id integer not null)')
  const env = { MILLRACE_COMMIT_MAX_ITEMS: '100', IMPORT_SLOW_MS: '2' }
  let seen = 0
  for (let kill = 0; kill < 3; kill++) {
    const running = begin(database, env, '--group', 'import')
    const before = seen
    await until('some more was committed', async () => {
      const [progress] = (await progressOf(database).catch(() => [])) as { next_offset: number }[]
      seen = progress?.next_offset ?? 0
      return seen >= before + 300
    })
    running.process.kill('SIGKILL')
    expect(await running.ended).toMatchObject({ signal: 'SIGKILL' })
  }
  expect((await ids(database)).length).toBeLessThan(count)
  const end = await begin(database, { MILLRACE_COMMIT_MAX_ITEMS: '1000' }, '--group', 'import').ended
  expect(end.code).toBe(0)
  expect(await ids(database)).toEqual(upTo(count))
  const again = await begin(database, {}, '--group', 'import').ended
  expect(again).toMatchObject({ code: 0, err: '' })
  expect(again.out).toContain('nothing was left to do')
  expect(await ids(database)).toEqual(upTo(count))
}, 120_000)
