/** Random scripts have the same outcome on the modelled Postgres of the simulation and on the real one. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { Link } from '../../../src/postgres/connections.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { VirtualClock } from '../../../src/testing/virtualClock.ts'
import { ModelDatabase } from '../../simulation/modelDatabase.ts'
import { ModelServer, type Peer } from '../../simulation/modelServer.ts'
import type { Values } from '../../simulation/modelTable.ts'
import { tables } from '../../simulation/orders.ts'
import { freshDatabase } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { play, type Side, tableNames } from './play.ts'
import { collectorScripts, connections, scripts } from './script.ts'

const scriptsPlayed = 150

const database = await freshDatabase(`
  create table ledger (id integer not null, part integer, pos bigint, acct text, amount integer check (amount >= 0),
    mark text unique);
  create table totals (acct text primary key, n integer, low integer, high integer);
  create table parents (acct text primary key);
  create table children (id integer not null, parent text references parents (acct) deferrable initially deferred);
`)
const store = createPostgresStore({ url: database.url })
await store.open([])
await store.close()

/** Shorter than a wait for a lock is looked at, so that a deadlock is found by the one that closes it. */
const deadlockMs = 20
const clients = await Promise.all(
  Array.from({ length: connections }, async () => {
    const client = new pg.Client(database.url)
    await client.connect()
    client.setMaxListeners(0)
    await client.query(`set deadlock_timeout to ${deadlockMs}`)
    return client
  }),
)
afterAll(() => Promise.all(clients.map((client) => client.end())))

/** A side whose collector can be looked into. */
interface Watched extends Side {
  collector(): Promise<readonly KeptRow[]>
}

async function realSide(): Promise<Watched> {
  await database.query(`truncate millrace.progress, millrace.errors, ${tableNames.join(', ')} restart identity`)
  const under = new Set<pg.Client>()
  // As a pool would hand them out; and what is under way is known.
  const links = clients.map((client) => {
    const watched = new Proxy(client, {
      get(target, name) {
        if (name !== 'query') return Reflect.get(target, name, target)
        return (...given: Parameters<pg.Client['query']>) => {
          under.add(client)
          const done = () => under.delete(client)
          const [query] = given as unknown as [string | Submitted]
          if (typeof query !== 'string') return target.query(watchedCopy(query, done) as never)
          return (target.query(...given) as unknown as Promise<unknown>).finally(done)
        }
      },
    })
    return new Link(watched as unknown as pg.PoolClient, systemClock, 60_000)
  })
  const pids = clients.map((client) => (client as unknown as { processID: number }).processID)
  // A server that has sent an error may still hold its locks, and one that was let go may not have noticed yet.
  const calm = () =>
    until('every statement is answered or waits', async () => {
      const [row] = await database.query<{ busy: number; waiting: number }>(
        `select count(*) filter (where not waits)::int as busy,
           count(*) filter (where waits and clock_timestamp() - query_start > interval '${3 * deadlockMs} ms')::int as waiting
         from pg_stat_activity a,
           lateral (select exists (select from pg_locks l where l.pid = a.pid and not l.granted) as waits) w
         where a.pid = any($1) and a.state = 'active'`,
        [pids],
      )
      return row?.busy === 0 && row.waiting === under.size
    })
  const contents = async () =>
    contentsOf(async (name) => database.query<Record<string, unknown>>(`select * from ${name}`))
  const collector = () =>
    database.query<KeptRow>(
      `select record_offset::text, convert_from(key, 'UTF8') as key, state, attempts::text, error_message, remembered,
         retry_at is null as is_not_put_off, settled_at is not null as is_settled,
         array(select failure ->> 'message' from jsonb_array_elements(history) failure) as former
       from millrace.errors order by id`,
    )
  return { links, calm, contents, collector }
}

/** An item as it is compared. */
interface KeptRow {
  readonly record_offset: string
  readonly key: string | null
  readonly state: string
  readonly attempts: string
  readonly error_message: string
  readonly remembered: string | null
  readonly is_not_put_off: boolean
  readonly is_settled: boolean
  readonly former: readonly string[]
}

interface Submitted {
  handleReadyForQuery(): void
}

function watchedCopy(query: Submitted, done: () => void): Submitted {
  return new Proxy(query, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (name !== 'handleReadyForQuery' && name !== 'handleError')
        return typeof member === 'function' ? member.bind(target) : member
      return (...given: unknown[]) => {
        done()
        return (member as (...given: unknown[]) => unknown).apply(target, given)
      }
    },
  })
}

async function modelSide(): Promise<Watched> {
  const model = new ModelDatabase(tables)
  const clock = new VirtualClock()
  const server = new ModelServer(model, {
    clock,
    latency: () => 0,
    note: () => {},
    broken: (error) => {
      throw error
    },
  })
  const peer: Peer = { name: 'test', deliver: (callback) => callback(), fateOf: () => undefined, kill: () => {} }
  const pool = server.pool(peer)
  const calm = async () => {
    do await nextTurn()
    while (clock.step(clock.now()))
  }
  const connecting = Promise.all(Array.from({ length: connections }, () => pool.connect()))
  await calm()
  const links = (await connecting).map((client) => new Link(client, clock, 60_000))
  const collector = async () => model.rows('millrace.errors').map(keptRowOf)
  return { links, calm, contents: () => contentsOf(async (name) => model.rows(name)), collector }
}

function keptRowOf({ record_offset, key, state, attempts, error_message, remembered, ...row }: Values): KeptRow {
  return {
    record_offset: record_offset ?? '',
    key: key === null || key === undefined ? null : Buffer.from(key.slice(2), 'hex').toString(),
    state: state ?? '',
    attempts: attempts ?? '',
    error_message: error_message ?? '',
    remembered: remembered ?? null,
    is_not_put_off: row.retry_at === null,
    is_settled: row.settled_at !== null,
    former: (JSON.parse(row.history ?? '[]') as { message: string }[]).map(({ message }) => message),
  }
}

async function contentsOf(rows: (table: string) => Promise<readonly object[]>) {
  const names = ['millrace.progress', ...tableNames]
  const shown = await Promise.all(
    names.map(async (name) => {
      const all = await rows(name)
      return [name, all.map((row) => text(row)).sort()] as const
    }),
  )
  return Object.fromEntries(shown)
}

function text(row: object): string {
  const values = Object.entries(row).filter(([name]) => name !== 'updated_at')
  return JSON.stringify(values.map(([name, value]) => [name, value === null ? null : String(value)]).sort())
}

test.each([
  { of: 'what commits are made of', given: scripts },
  { of: 'the error collector', given: collectorScripts },
])(
  `${scriptsPlayed} random scripts of $of`,
  async ({ given }) => {
    await fc.assert(
      fc.asyncProperty(fc.noBias(given), async (script) => {
        const [model, real] = [await modelSide(), await realSide()]
        const seen = await play(model, script)
        const happened = await play(real, script)
        expect(seen).toEqual(happened)
        expect(await model.contents()).toEqual(await real.contents())
        expect(await model.collector()).toEqual(await real.collector())
      }),
      { numRuns: scriptsPlayed },
    )
  },
  300_000,
)
