/** Connections that are lost: at COMMIT, before it, and while nobody looks. */
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { table } from '../../../sinks/table.ts'
import { FenceLostError, UnavailableError } from '../../../src/core/errors.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import type { TableBuffer } from '../../../src/postgres/tableBuffer.ts'
import { proxyTo } from '../../faults/tcpProxy.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member } from './member.ts'

const database = await freshDatabase('create table flights (id integer)')
const { proxy, url } = await proxyTo(database.url)
const sinks = [table('flights')]
/** Statements may take a second; 5 s beyond it a connection counts as lost. */
const store = createPostgresStore({
  url,
  statementTimeoutMs: 1_000,
  lockTimeoutMs: 800,
  idleInTransactionTimeoutMs: 1_500,
})
const direct = createPostgresStore({ url: database.url })
await store.open(sinks)
await direct.open(sinks)
afterAll(async () => {
  await store.close()
  await direct.close()
  await proxy.close()
})

/** For conditions that come when they come, on a machine that others use too. */
const patience = { timeout: 15_000 }

let member: Member
beforeEach(async () => {
  await database.query('truncate flights, millrace.progress')
  member = await Member.claim(store, sinks)
  member.append('flights', { id: 1 }, 0)
})
afterEach(() => proxy.setDown(false))

const count = async () => (await database.query<{ n: number }>('select count(*)::int as n from flights'))[0]?.n

describe('a COMMIT that is answered with ROLLBACK', () => {
  it('has not committed: an error inside the transaction was overlooked', async () => {
    const { version } = member.claim
    const [buffer] = member.buffers as readonly TableBuffer[]
    if (buffer === undefined) throw new Error('no buffer')
    vi.spyOn(buffer, 'inTransactionFlush').mockImplementationOnce(async (link) => {
      await link.query('select 1 / 0').catch(() => undefined)
    })
    await expect(member.commit(5)).rejects.toMatchObject({ code: 'MR-INTERNAL-COMMIT' })
    expect(member.claim.version).toBe(version)
    await member.commit(5)
    expect(await count()).toBe(1)
  })
})

describe('a COMMIT that was not answered', () => {
  it('has committed when the server carried it out: nothing is done again', async () => {
    const { version } = member.claim
    proxy.failOnce('commit', 'lose the answer')
    await member.commit(5)
    expect(await count()).toBe(1)
    expect(member.claim.version).toBe(version + 1)
    member.append('flights', { id: 2 }, 0)
    await member.commit(6)
    expect(await count()).toBe(2)
  })

  it('has not committed when it never reached the server: it may be done again', async () => {
    const { version } = member.claim
    proxy.failOnce('commit', 'lose the request')
    await expect(member.commit(5)).rejects.toBeInstanceOf(UnavailableError)
    expect(await count()).toBe(0)
    expect(member.claim.version).toBe(version)
    await member.commit(5)
    expect(await count()).toBe(1)
  })

  it('is waited for no longer than its deadline, on a connection that stays silent', { timeout: 20_000 }, async () => {
    proxy.failOnce('commit', 'swallow the answer')
    await member.commit(5)
    expect(await count()).toBe(1)
  })

  it('is asked about until the server can be reached again', async () => {
    const earlier = proxy.turnedAway
    proxy.failOnce('commit', 'lose the answer')
    proxy.setDown(true)
    const committed = member.commit(5)
    await expect.poll(() => proxy.turnedAway, patience).toBeGreaterThan(earlier + 1)
    proxy.setDown(false)
    await committed
    expect(await count()).toBe(1)
  })

  it('is told as such when the store is closed before there is an answer', async () => {
    const closing = createPostgresStore({ url })
    await closing.open(sinks)
    const inDoubt = await Member.claim(closing, sinks)
    const earlier = proxy.turnedAway
    proxy.failOnce('commit', 'lose the answer')
    proxy.setDown(true)
    const refused = expect(inDoubt.commit(5)).rejects.toThrow('MR-PG-IN-DOUBT')
    await expect.poll(() => proxy.turnedAway, patience).toBeGreaterThan(earlier)
    await closing.close()
    await refused
  })

  it('has lost the fence when another owner has claimed since', async () => {
    const earlier = proxy.turnedAway
    proxy.failOnce('commit', 'lose the request')
    proxy.setDown(true)
    const lost = expect(member.commit(5)).rejects.toBeInstanceOf(FenceLostError)
    await expect.poll(() => proxy.turnedAway, patience).toBeGreaterThan(earlier)
    await Member.claim(direct, sinks)
    proxy.setDown(false)
    await lost
    expect(await count()).toBe(0)
  })
})

describe('a connection that is lost before COMMIT', () => {
  it.each(['millrace.fence', 'copy public.flights', 'millrace.errors'])(
    'at %s leaves nothing behind, and the batch is done again',
    async (text) => {
      const item = {
        stream: 's',
        step: 'map',
        topic: 't',
        partition: 0,
        offset: 1,
        timestamp: null,
        key: null,
        value: null,
        headers: [],
        error: { name: 'Error', message: 'm', code: null, stack: null },
        attempts: 1,
        taskStream: 's',
        state: 'open' as const,
        retryInMs: null,
        remembered: null,
      }
      for (const fault of ['lose the request', 'lose the answer'] as const) {
        proxy.failOnce(text, fault)
        await expect(member.commit(5, { collected: [item] })).rejects.toMatchObject({
          code: 'MR-PG-LOST',
          retryable: true,
        })
        expect(await count()).toBe(0)
      }
      await member.commit(5, { collected: [item] })
      expect(await count()).toBe(1)
    },
  )

  it('by the server ending the session', async () => {
    await database.query(`create table doomed (id integer);
      create function end_session() returns trigger language plpgsql as $$
        begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$;
      create trigger end_session before insert on doomed for each row execute function end_session()`)
    const doomed = [table('doomed')]
    await store.open(doomed)
    const victim = await Member.claim(store, doomed)
    victim.append('doomed', { id: 1 }, 0)
    await expect(victim.commit(5)).rejects.toBeInstanceOf(UnavailableError)
    await database.query('drop trigger end_session on doomed')
    await victim.commit(5)
    expect(await database.query('select id from doomed')).toEqual([{ id: 1 }])
  })

  it('while it is idle, without anybody noticing', async () => {
    await database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace' and datname = current_database()",
    )
    await expect
      .poll(
        () =>
          member.commit(5).then(
            () => 'committed',
            () => 'refused',
          ),
        patience,
      )
      .toBe('committed')
    expect(await count()).toBe(1)
  })

  it('by a server that does not answer', { timeout: 20_000 }, async () => {
    proxy.failOnce('copy public.flights', 'swallow the answer')
    await expect(member.commit(5)).rejects.toThrow('no answer within 6000 ms')
    await expect
      .poll(
        () =>
          member.commit(5).then(
            () => 'committed',
            () => 'refused',
          ),
        patience,
      )
      .toBe('committed')
    expect(await count()).toBe(1)
  })
})
