/** A database of one scene, with a role of its own, and with triggers that watch and delay what services do there. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { schemaSql } from '../../src/postgres/migrations.ts'

/** What the tables that the plan writes, and the watchers, look like. */
function tables(batchMs: number): string {
  return `
    create table ledger (
      seq bigint generated always as identity, id int not null, part int not null, pos bigint not null, key text not null,
      amount int not null check (amount >= 0), writer int not null);
    create table audits (part int not null, pos bigint not null);
    create table receipts (part int not null, pos bigint not null, nth int not null);
    create table totals (part int, account int, entries int not null, amount bigint not null, primary key (part, account));

    -- A batch takes its time, so that there is work when something strikes, on a fast machine too.
    create function take_time() returns trigger language plpgsql as
      $$ begin perform pg_sleep(${batchMs / 1_000}); return null; end $$;
    create trigger slow after insert on ledger for each statement execute function take_time();

    -- Every change of progress, in the transaction that makes it.
    create table moves (
      seq bigint generated always as identity, partition int not null, owner uuid not null, version bigint not null,
      next bigint not null);
    create function note_move() returns trigger language plpgsql as $$ begin
      insert into public.moves (partition, owner, version, next) values (new.partition, new.owner, new.version, new.next_offset);
      return null;
    end $$;
    create trigger moved after insert or update on millrace.progress for each row execute function note_move();

    -- The fence has compared, and is about to move progress on: here it can be held up, by the service's name.
    create function hold() returns trigger language plpgsql as $$ begin
      if new.owner = old.owner then
        perform pg_advisory_xact_lock_shared(hashtext(current_setting('application_name')));
      end if;
      return new;
    end $$;
    create trigger held before update on millrace.progress for each row execute function hold();
  `
}

export interface SceneDatabase {
  readonly name: string
  /** As the services log in. */
  readonly url: string
  /** A statement of the superuser in this database. */
  query<Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<Row[]>
  /** A connection of the superuser, to be ended by whoever asked for it. */
  connect(): Promise<pg.Client>
  drop(): Promise<void>
}

/** @param batchMs how long the database takes for the rows of a batch, on top of the work */
export async function createDatabase(serverUrl: string, batchMs: number): Promise<SceneDatabase> {
  const name = `faults_${randomBytes(6).toString('hex')}`
  const inServer = (text: string) => once(serverUrl, text)
  await inServer(`create role ${name} login password 'faults'`)
  await inServer(`create database ${name} owner ${name}`)
  const superuserUrl = new URL(serverUrl)
  superuserUrl.pathname = `/${name}`
  const url = new URL(superuserUrl)
  url.username = name
  url.password = 'faults'
  await once(url.href, schemaSql())
  await once(url.href, tables(batchMs))
  return {
    name,
    url: url.href,
    query: (sql, values) => once(superuserUrl.href, sql, values),
    connect: () => connected(superuserUrl.href),
    drop: async () => {
      await inServer(`drop database ${name} with (force)`)
      await inServer(`drop role ${name}`)
    },
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  // Servers are killed under it on purpose.
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** One statement over a connection of its own: nothing is left over that a fault could have broken. */
async function once<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values?: readonly unknown[],
): Promise<Row[]> {
  const client = await connected(url)
  try {
    return (await client.query<Row>(text, values === undefined ? undefined : [...values])).rows
  } finally {
    await client.end()
  }
}
