import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { FenceLostError, StoreError } from '../../../src/core/errors.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { createProgressAdmin } from '../../../src/postgres/progressAdmin.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member, source, task } from './member.ts'

const database = await freshDatabase()
const store = createPostgresStore({ url: database.url })
const admin = createProgressAdmin({ url: database.url })
afterAll(async () => {
  await store.close()
  await admin.close()
})

it('says that there is nothing where no service has run', async () => {
  await expect(admin.show({ app: 'app' })).rejects.toThrow('MR-PROGRESS-NONE')
})

describe('progress by hand', () => {
  let member: Member
  beforeEach(async () => {
    await store.open([])
    await database.query('truncate millrace.progress, millrace.audit')
    member = await Member.claim(store, [])
    await member.commit(10)
    await (await Member.claim(store, [], { ...task, partition: 1 })).commit(20)
  })

  const offsets = async () =>
    (await admin.show({ app: 'app' })).map(({ partition, nextOffset }) => [partition, nextOffset])

  it('is shown whole or in part', async () => {
    expect(await admin.show({ app: 'app' })).toMatchObject([
      { stream: 'flights', source, partition: 0, nextOffset: 10, version: 2 },
      { stream: 'flights', source, partition: 1, nextOffset: 20, version: 2 },
    ])
    expect(await admin.show({ app: 'app', partition: 1, stream: 'flights', source })).toHaveLength(1)
    expect(await admin.show({ app: 'another' })).toEqual([])
  })

  it('changes nothing while it is planned', async () => {
    const plan = await admin.planSet({ app: 'app', partition: 0 }, 3)
    expect(plan).toMatchObject({ action: 'set', changes: [{ entry: { partition: 0, nextOffset: 10 }, toOffset: 3 }] })
    await admin.planReset({ app: 'app' })
    expect(await offsets()).toEqual([
      [0, 10],
      [1, 20],
    ])
    expect(await database.query('select * from millrace.audit')).toEqual([])
  })

  it('is set, audited, and taken away from who runs it', async () => {
    await admin.execute(await admin.planSet({ app: 'app', partition: 0 }, 3))
    expect(await offsets()).toEqual([
      [0, 3],
      [1, 20],
    ])
    await expect(member.commit(11)).rejects.toBeInstanceOf(FenceLostError)
    expect((await Member.claim(store, [])).claim.progress).toEqual([{ source, nextOffset: 3, fingerprint: null }])
    const [audited, ...more] = await database.query(
      "select *, at > now() - interval '1 minute' as recent from millrace.audit",
    )
    expect(more).toEqual([])
    const who = (await database.query<{ who: string }>('select current_user as who'))[0]?.who
    expect(audited).toMatchObject({
      who,
      app: 'app',
      action: 'set',
      stream: 'flights',
      source,
      partition: 0,
      from_offset: '10',
      to_offset: '3',
      recent: true,
    })
  })

  it('is reset, so that the next start decides', async () => {
    await admin.execute(await admin.planReset({ app: 'app', partition: 0 }))
    expect(await offsets()).toEqual([[1, 20]])
    await expect(member.commit(11)).rejects.toBeInstanceOf(FenceLostError)
    expect(await database.query('select action, from_offset, to_offset from millrace.audit')).toEqual([
      { action: 'reset', from_offset: '10', to_offset: null },
    ])
    const next = await store.claim(task, [{ source, nextOffset: 99, fingerprint: null }])
    expect(next.progress).toMatchObject([{ nextOffset: 99 }])
    await expect(member.commit(11)).rejects.toBeInstanceOf(FenceLostError)
  })

  it('is left alone when it has moved since it was planned', async () => {
    const plan = await admin.planSet({ app: 'app' }, 0)
    await member.commit(12)
    await expect(admin.execute(plan)).rejects.toThrow('MR-PROGRESS-MOVED')
    expect(await offsets()).toEqual([
      [0, 12],
      [1, 20],
    ])
    expect(await database.query('select * from millrace.audit')).toEqual([])
    await member.commit(13)
  })

  it('keeps the inputs of a task at one version', async () => {
    const claim = await store.claim(task, [
      { source, nextOffset: 0, fingerprint: null },
      { source: 'from:airports', nextOffset: 5, fingerprint: null },
    ])
    await admin.execute(await admin.planSet({ app: 'app', partition: 0, source }, 1))
    const versions = (await admin.show({ app: 'app', partition: 0 })).map(({ version, owner }) => [
      version,
      owner === claim.owner,
    ])
    expect(versions).toEqual([
      [claim.version + 1, false],
      [claim.version + 1, false],
    ])
  })

  it('refuses offsets that are none, and a filter that matches nothing', async () => {
    await expect(admin.planSet({ app: 'app' }, -1)).rejects.toBeInstanceOf(StoreError)
    await expect(admin.planSet({ app: 'app', stream: 'other' }, 1)).rejects.toThrow(
      'there is no progress of app "app", stream "other"',
    )
    await expect(admin.planReset({ app: 'nobody' })).rejects.toThrow('MR-PROGRESS-NONE')
  })
})
