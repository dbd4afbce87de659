import pg from 'pg'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { CollectedItem } from '../../../src/core/store.ts'
import { createErrorsAdmin } from '../../../src/postgres/errorsAdmin.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { freshDatabase } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Member, task } from './member.ts'

const database = await freshDatabase()
const store = createPostgresStore({ url: database.url, maxKeptValueBytes: 100 })
const admin = createErrorsAdmin({ url: database.url })
afterAll(async () => {
  await store.close()
  await admin.close()
})

const { app } = task

const failed = (offset: number, more: Partial<CollectedItem> = {}): CollectedItem => ({
  stream: 'flights',
  taskStream: 'flights',
  step: 'map',
  topic: 'flights',
  partition: 0,
  offset,
  timestamp: new Date(1_000),
  key: Buffer.from(`k${offset}`),
  value: Buffer.from(`{"id":${offset}}`),
  headers: [],
  error: { name: 'TypeError', message: `flight ${offset} has no origin`, code: null, stack: null },
  attempts: 1,
  state: 'open',
  retryInMs: null,
  remembered: null,
  ...more,
})
const message = (text: string) => ({ error: { name: 'Error', message: text, code: '23505', stack: null } })

it('says that there is nothing where no service of this version has run', async () => {
  const empty = await freshDatabase()
  const other = createErrorsAdmin({ url: empty.url })
  await expect(other.stats({ app })).rejects.toThrow(/there is no error collector in .*MR-ERRORS-NONE/s)
  await other.close()
})

let member: Member
beforeEach(async () => {
  await store.open([])
  await database.query('truncate millrace.progress, millrace.errors, millrace.plans, millrace.audit restart identity')
  member = await Member.claim(store, [])
})

const collect = (...collected: CollectedItem[]) => member.commit(0, { collected })
const states = async () =>
  (
    await database.query<{ at: string }>("select record_offset || ' ' || state as at from millrace.errors order by id")
  ).map(({ at }) => at)
const waiting = async () => (await store.takeWaiting(member.claim, 100)).map(({ kind, offset }) => `${kind} ${offset}`)
const audit = () => database.query('select app, action, items::int, detail from millrace.audit order by id')

describe('what the collector holds', () => {
  beforeEach(async () => {
    await collect(
      failed(1),
      failed(2),
      failed(3, { ...message('the row is there already'), step: 'to:out', stream: 'receipts', partition: 0 }),
      failed(4, { state: 'deferred', retryInMs: 3_600_000, remembered: 'answers', attempts: 2 }),
      failed(5, { state: 'parked', key: Buffer.from('k4') }),
    )
  })

  it('is grouped by stream and fingerprint, the largest group first', async () => {
    const groups = await admin.groups({ app }, 10)
    expect(groups).toMatchObject([
      { stream: 'flights', step: 'map', items: 4, states: { open: 2, deferred: 1, parked: 1 }, id: '5' },
      {
        stream: 'receipts',
        step: 'to:out',
        items: 1,
        states: { open: 1 },
        error: { message: 'the row is there already' },
      },
    ])
    expect(groups[0]?.error).toEqual({ name: 'TypeError', message: 'flight 5 has no origin' })
    expect(await admin.groups({ app }, 1)).toHaveLength(1)
    expect(await admin.groups({ app: 'another' }, 10)).toEqual([])
  })

  it('is filtered by each of its parts, and by several', async () => {
    const [{ fingerprint = '' } = {}] = await admin.groups({ app, step: 'to:out' }, 1)
    const offsets = async (filter: object) => (await admin.items({ app, ...filter }, 100)).map(({ offset }) => offset)
    expect(await offsets({})).toEqual([5, 4, 3, 2, 1])
    expect(await offsets({ stream: 'receipts' })).toEqual([3])
    expect(await offsets({ step: 'to:out' })).toEqual([3])
    expect(await offsets({ fingerprint: fingerprint.slice(0, 6) })).toEqual([3])
    expect(await offsets({ fingerprint: `${fingerprint.slice(0, 6)}x` })).toEqual([])
    expect(await offsets({ states: ['open', 'parked'] })).toEqual([5, 3, 2, 1])
    expect(await offsets({ key: Buffer.from('k4') })).toEqual([5, 4])
    expect(await offsets({ partition: 1 })).toEqual([])
    expect(await offsets({ ids: ['2', '4', '77'] })).toEqual([4, 2])
    expect(await offsets({ key: Buffer.from('k4'), states: ['parked'] })).toEqual([5])
    await database.query("update millrace.errors set collected_at = now() - interval '2 hours' where id <= 2")
    const anHourAgo = new Date(Date.now() - 3_600_000)
    expect(await offsets({ since: anHourAgo })).toEqual([5, 4, 3])
    expect(await offsets({ until: anHourAgo })).toEqual([2, 1])
    expect((await admin.items({ app }, 2)).map(({ offset }) => offset)).toEqual([5, 4])
  })

  it('is shown whole', async () => {
    const stack = 'Error: x\n    at toRow (/srv/plan.ts:12:5)'
    const value = Buffer.from('x'.repeat(101))
    await collect(
      failed(6, { value, headers: [{ key: 'h', value: null }], error: { name: 'E', message: 'm', code: 'C', stack } }),
    )
    expect(await admin.item(app, '6')).toMatchObject({
      taskStream: 'flights',
      timestamp: new Date(1_000),
      value: value.subarray(0, 100),
      cutFrom: 101,
      headers: [{ key: 'h', value: null }],
      error: { name: 'E', message: 'm', code: 'C', stack },
      atLine: '/srv/plan.ts:12:5',
      history: [],
      settledAt: null,
      remembers: false,
    })
    expect(await admin.item(app, '4')).toMatchObject({ state: 'deferred', attempts: 2, remembers: true, cutFrom: null })
    await member.commit(0, {
      settled: [{ id: '4', outcome: 'failed', failure: failed(4, { ...message('again'), attempts: 3 }) }],
    })
    expect((await admin.item(app, '4')).history).toMatchObject([
      { step: 'map', name: 'TypeError', message: 'flight 4 has no origin', code: null, attempts: 2 },
    ])
    await expect(admin.item(app, '77')).rejects.toThrow('there is no item 77 in the error collector of app "app"')
    await expect(admin.item('another', '1')).rejects.toThrow('MR-ERRORS-NONE')
  })

  it('is counted by stream', async () => {
    await member.commit(0, { settled: [{ id: '1', outcome: 'done' }] })
    await database.query("update millrace.errors set collected_at = now() - interval '2 hours' where id <= 2")
    const [flights, receipts] = await admin.stats({ app })
    expect(flights).toMatchObject({
      stream: 'flights',
      states: { open: 1, deferred: 1, parked: 1, done: 1 },
      groups: 1,
      lastHour: 2,
      bytes: 4 * '{"id":1}'.length,
    })
    expect(flights?.oldestAt?.getTime()).toBeLessThan(Date.now() - 7_000_000)
    expect(receipts).toMatchObject({ stream: 'receipts', states: { open: 1 }, groups: 1 })
  })

  it('can be looked at with SQL', async () => {
    await collect(failed(6, { key: Buffer.from([0, 255, 97]), value: Buffer.from([0xc3, 0x28]) }))
    expect(
      await database.query('select id::int, key, value, error_message from millrace.open_errors where id in (1, 6)'),
    ).toEqual([
      { id: 1, key: 'k1', value: '{"id":1}', error_message: 'flight 1 has no origin' },
      { id: 6, key: '\\000\\377a', value: '\\303(', error_message: 'flight 6 has no origin' },
    ])
  })
})

describe('a replay', () => {
  it('is planned: groups, times, what it leaves out and why, and the steps where order matters', async () => {
    await store.recordPlans(app, [
      { stream: 'flights', hash: 'h', description: 'd', orderSteps: ['to:t: the last row of a key wins'] },
    ])
    await collect(
      failed(1),
      failed(2, { state: 'deferred', retryInMs: 3_600_000 }),
      failed(3, { state: 'parked', key: Buffer.from('k2') }),
      failed(4, { value: Buffer.alloc(101) }),
      failed(-1),
      failed(6, { taskStream: 'unknown', ...message('other') }),
    )
    await database.query("update millrace.errors set state = 'done', settled_at = now() where id = 6")
    await collect(failed(7, { taskStream: 'unknown', ...message('other') }))
    const plan = await admin.plan('replay', { app })
    expect(plan).toMatchObject({
      items: 3,
      groups: [
        { stream: 'flights', step: 'map', items: 2, error: { message: 'flight 2 has no origin' } },
        { items: 1, error: { message: 'other' } },
      ],
      left: { parked: 1, cut: 1, 'without record': 1, settled: 1 },
      orderSteps: [
        { stream: 'flights', steps: ['to:t: the last row of a key wins'] },
        { stream: 'unknown', steps: null },
      ],
    })
    expect(plan.oldestAt?.getTime()).toBeLessThanOrEqual(plan.newestAt?.getTime() ?? 0)
    expect(await waiting()).toEqual([])
    expect(await audit()).toEqual([])
  })

  it('asks for the items, and is noted', async () => {
    await collect(failed(1), failed(2), failed(3, { state: 'deferred', retryInMs: 3_600_000, key: Buffer.from('k') }))
    await collect(failed(4, { state: 'parked', key: Buffer.from('k') }))
    expect(await admin.execute(await admin.plan('replay', { app, ids: ['1', '3'], key: Buffer.from('k') }))).toBe(1)
    expect(await states()).toEqual(['1 open', '2 open', '3 replaying', '4 parked'])
    expect(await waiting()).toEqual(['replay 3', 'parked 4'])
    expect(await audit()).toEqual([
      { app, action: 'errors replay', items: 1, detail: '{"ids":["1","3"],"key":"one key"}' },
    ])
  })

  it('does not ask again for what has failed meanwhile, nor for what came behind the plan', async () => {
    await collect(failed(1), failed(2))
    const plan = await admin.plan('replay', { app })
    await collect(failed(3))
    await member.commit(0, { settled: [{ id: '1', outcome: 'failed', failure: failed(1, message('again')) }] })
    expect(await admin.execute(plan)).toBe(1)
    expect(await states()).toEqual(['1 open', '2 replaying', '3 open'])
  })

  it('may be of what was ignored, but not of what is done', async () => {
    await collect(failed(1), failed(2))
    await member.commit(0, {
      settled: [
        { id: '1', outcome: 'ignored' },
        { id: '2', outcome: 'done' },
      ],
    })
    expect(await admin.execute(await admin.plan('replay', { app, states: ['ignored', 'done'] }))).toBe(1)
    expect(await states()).toEqual(['1 replaying', '2 done'])
    expect(await waiting()).toEqual(['replay 1'])
    expect((await admin.item(app, '1')).settledAt).toBeNull()
  })

  it('takes many in portions', async () => {
    await database.query(
      `insert into millrace.errors (app, stream, task_stream, step, topic, partition, record_offset, header_keys, header_values,
         error_name, error_message, attempts) select 'app', 's', 's', 'map', 't', 0, i, '{}', '{}', 'E', 'm', 1 from generate_series(1, 12000) i`,
    )
    const plan = await admin.plan('replay', { app })
    expect(plan.items).toBe(12_000)
    expect(await admin.execute(plan)).toBe(12_000)
    expect((await audit()).map(({ items }) => items)).toEqual([5_000, 5_000, 2_000])
  })

  it('leaves items alone that a task is settling, and looks at them again', async () => {
    await collect(failed(1), failed(2))
    const other = new pg.Client(database.url)
    await other.connect()
    let changed: number | undefined
    try {
      await other.query("begin; update millrace.errors set state = 'done', settled_at = now() where id = 1")
      const execution = admin.execute(await admin.plan('replay', { app })).then((count) => {
        changed = count
      })
      await until('the item that nobody holds is asked for', async () => (await states()).includes('2 replaying'))
      expect(changed).toBeUndefined()
      await other.query('commit')
      await execution
    } finally {
      await other.end()
    }
    expect([changed, await states()]).toEqual([1, ['1 done', '2 replaying']])
  })
})

describe('settling by hand', () => {
  it('ignores what is not settled, and forgets what it remembers', async () => {
    await collect(failed(1), failed(2, { state: 'deferred', retryInMs: 9e9, remembered: 'x' }), failed(3))
    await member.commit(0, { settled: [{ id: '3', outcome: 'done' }] })
    const plan = await admin.plan('ignore', { app })
    expect(plan).toMatchObject({ items: 2, left: { settled: 1 }, orderSteps: [] })
    expect(await admin.execute(plan)).toBe(2)
    expect(await states()).toEqual(['1 ignored', '2 ignored', '3 done'])
    expect((await admin.item(app, '2')).remembers).toBe(false)
    expect(await store.held(task)).toEqual({ keys: [], parked: 0 })
  })

  it.each(['ignore', 'delete'] as const)('%s lets those go on that were parked behind the item', async (action) => {
    const k = Buffer.from('k')
    await collect(failed(1, { key: k }), failed(2, { state: 'parked', key: k }), failed(3, { state: 'parked', key: k }))
    await collect(failed(4), failed(5, { state: 'parked', key: Buffer.from('k4') }))
    await admin.execute(await admin.plan(action, { app, ids: ['1'] }))
    expect((await states()).slice(action === 'ignore' ? 1 : 0)).toEqual([
      '2 replaying',
      '3 parked',
      '4 open',
      '5 parked',
    ])
    expect(await store.waitingTasks(app)).toEqual([{ stream: 'flights', partition: 0 }])
    expect(await waiting()).toEqual(['replay 2', 'parked 3'])
  })

  it('wakes no parked item while one before it is being run', async () => {
    const k = Buffer.from('k')
    await collect(failed(1, { key: k }), failed(2, { state: 'parked', key: k }), failed(3))
    await admin.execute(await admin.plan('replay', { app, ids: ['1'] }))
    await admin.execute(await admin.plan('ignore', { app, ids: ['3'] }))
    expect(await states()).toEqual(['1 replaying', '2 parked', '3 ignored'])
  })
})

describe('deleting', () => {
  it('by key takes all of it, settled or not, and the note of it does not name the key', async () => {
    const somebody = Buffer.from('somebody')
    await collect(failed(1, { key: somebody }), failed(2), failed(3, { key: somebody, state: 'parked' }))
    await collect(failed(4, { key: somebody, value: Buffer.alloc(500) }))
    await member.commit(0, { settled: [{ id: '1', outcome: 'done' }] })
    const plan = await admin.plan('delete', { app, key: somebody })
    expect(plan).toMatchObject({ items: 3, left: {} })
    expect(await admin.execute(plan)).toBe(3)
    expect(await states()).toEqual(['2 open'])
    const noted = await audit()
    expect(noted).toMatchObject([{ action: 'errors delete', items: 3 }])
    expect(JSON.stringify(noted)).not.toContain('somebody')
    // A task that was about to settle one of them finds nothing, and goes on.
    await member.commit(1, {
      settled: [
        { id: '3', outcome: 'done' },
        { id: '4', outcome: 'failed', failure: failed(4) },
      ],
    })
    expect(await states()).toEqual(['2 open'])
  })

  it('prunes what was settled before a time, and nothing that is open', async () => {
    await collect(failed(1), failed(2), failed(3))
    await member.commit(0, {
      settled: [
        { id: '1', outcome: 'done' },
        { id: '2', outcome: 'ignored' },
      ],
    })
    await database.query("update millrace.errors set settled_at = now() - interval '3 days' where id = 1")
    const settledBefore = new Date(Date.now() - 86_400_000)
    expect(await admin.execute(await admin.plan('prune', { app, settledBefore }))).toBe(1)
    expect(await states()).toEqual(['2 ignored', '3 open'])
    expect(await admin.execute(await admin.plan('prune', { app }))).toBe(1)
    expect(await states()).toEqual(['3 open'])
  })
})

describe('a halted stream', () => {
  const halted = { reason: 'too many', plan: 'hash' }

  it('runs again when it is resumed, with its error counters at 0, and its owner keeps it', async () => {
    await member.commit(1, { budget: 'counted', halted })
    const other = await Member.claim(store, [], { ...task, stream: 'alerts' })
    await other.commit(1, { budget: 'counted', halted })
    expect(await admin.halted(app)).toMatchObject([
      { stream: 'alerts', partition: 0, reason: 'too many' },
      { stream: 'flights', partition: 0, reason: 'too many' },
    ])
    expect(await admin.resume(app, 'flights')).toBe(1)
    expect(await admin.halted(app)).toMatchObject([{ stream: 'alerts' }])
    await member.commit(2)
    expect(await store.claim(task, [])).toMatchObject({ budget: null, halted: null })
    expect(await database.query('select action, stream, partition from millrace.audit')).toEqual([
      { action: 'resume', stream: 'flights', partition: 0 },
    ])
    expect(await admin.resume('another')).toBe(0)
    expect(await admin.resume(app)).toBe(1)
    expect(await admin.resume(app)).toBe(0)
  })
})
