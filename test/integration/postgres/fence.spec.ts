import pg from 'pg'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { table } from '../../../sinks/table.ts'
import { FenceLostError, UnavailableError } from '../../../src/core/errors.ts'
import type { Claim } from '../../../src/core/store.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { beginFenced } from '../../../src/postgres/progress.ts'
import { fenceLostState } from '../../../src/postgres/sqlstate.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member, source } from './member.ts'

const database = await freshDatabase('create table flights (id integer)')
const sinks = [table('flights')]
const store = createPostgresStore({ url: database.url, lockTimeoutMs: 1_000, idleInTransactionTimeoutMs: 1_500 })
await store.open(sinks)
afterAll(() => store.close())
beforeEach(() => database.query('truncate flights, millrace.progress'))

const progressed = [{ source, nextOffset: 9, fingerprint: null }]
const moveOf = (claim: Claim) => ({ claim, progress: progressed, budget: null, halted: null })
const count = async () => (await database.query<{ n: number }>('select count(*)::int as n from flights'))[0]?.n

async function connected(config: { pipeline?: boolean } = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url, ...config } as pg.ClientConfig)
  client.on('error', () => undefined)
  await client.connect()
  return client
}

describe('a zombie, whose task was taken over,', () => {
  it('is refused when its whole transaction was sent in one message, and 0 of its rows stand', async () => {
    const zombie = await Member.claim(store, sinks)
    const owner = await Member.claim(store, sinks)
    const client = await connected()
    const message = `${beginFenced(moveOf(zombie.claim))}; insert into flights values (1), (2); commit`
    await expect(client.query(message)).rejects.toMatchObject({ code: fenceLostState })
    await client.end()
    expect(await count()).toBe(0)
    await owner.commit(1)
  })

  it('is refused when its statements were sent in a pipeline, and 0 of its rows stand', async () => {
    const zombie = await Member.claim(store, sinks)
    await Member.claim(store, sinks)
    const client = await connected({ pipeline: true })
    const answers = await Promise.allSettled([
      client.query(beginFenced(moveOf(zombie.claim))),
      client.query('insert into flights values (1)'),
      client.query('commit'),
    ])
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
    // COMMIT resolves all the same: what it says is the only thing that tells.
    expect(answers[2]).toMatchObject({ value: { command: 'ROLLBACK' } })
    await client.end()
    expect(await count()).toBe(0)
  })

  it('goes through in one message while it is no zombie', async () => {
    const owner = await Member.claim(store, sinks)
    const client = await connected()
    await client.query(`${beginFenced(moveOf(owner.claim))}; insert into flights values (1); commit`)
    await client.end()
    expect(await count()).toBe(1)
    expect(await store.readProgress('app')).toMatchObject([{ nextOffset: 9 }])
    // It moved the version behind the store's back, which a claim that did not see it has to notice.
    await expect(owner.commit(2)).rejects.toBeInstanceOf(FenceLostError)
  })
})

it('waits for a transaction that is under way, and refuses it when that has taken over', async () => {
  const member = await Member.claim(store, sinks)
  member.append('flights', { id: 1 }, 0)
  const client = await connected()
  await client.query(
    `begin; select * from millrace.claim('app', 'flights', 0, gen_random_uuid(), '{${source}}', '{0}', '{NULL}')`,
  )
  const refused = expect(member.commit(1)).rejects.toBeInstanceOf(FenceLostError)
  await client.query('commit')
  await refused
  await client.end()
  expect(await count()).toBe(0)
})

it('lets the next owner in when a stopped process holds the rows: its transaction is ended by the server', async () => {
  const stopped = await Member.claim(store, sinks)
  const client = await connected()
  await client.query(
    `set idle_in_transaction_session_timeout to 1500; ${beginFenced(moveOf(stopped.claim))}; insert into flights values (1)`,
  )
  // Locks are waited for, but not for ever; who asks again gets in.
  await expect(store.claim(stopped.claim.task, progressed)).rejects.toBeInstanceOf(UnavailableError)
  const next = await Member.claim(store, sinks)
  expect(next.claim.progress).toMatchObject([{ nextOffset: 0 }])
  await expect(client.query('commit')).rejects.toThrow()
  await client.end()
  expect(await count()).toBe(0)
})

it('sets up every session: timeouts, and UTC for times without a zone', async () => {
  await database.query(`create table sessions (id integer,
    lock text default current_setting('lock_timeout'), statement text default current_setting('statement_timeout'),
    idle text default current_setting('idle_in_transaction_session_timeout'), at timestamptz)`)
  const sessions = [table('sessions')]
  await store.open(sessions)
  const member = await Member.claim(store, sessions)
  member.append('sessions', { id: 1, at: '2001-01-01T00:00' }, 0)
  await member.commit(1)
  expect(await database.query('select * from sessions')).toEqual([
    { id: 1, lock: '1s', statement: '30s', idle: '1500ms', at: new Date('2001-01-01T00:00Z') },
  ])
})

it('waits for a lock no longer than it may', async () => {
  const member = await Member.claim(store, sinks)
  member.append('flights', { id: 1 }, 0)
  const blocker = await connected()
  await blocker.query('begin; lock table flights in access exclusive mode')
  await expect(member.commit(1)).rejects.toThrow('55P03')
  await blocker.end()
  await member.commit(1)
  expect(await count()).toBe(1)
})
