/** The scene of the kill and zombie tests: a topic, the tables that `ledgerPlan.ts` writes, and processes that share the work. */
import type { Message } from 'kafkajs'
import { brokers, type FreshDatabase, freshDatabase, freshTopic } from '../../support/services.ts'
import { Member } from './members.ts'

export const partitions = 4
const accounts = 100

/**
 * Milliseconds that the database takes for a batch on top of its work. A slice of some thousand records is then never
 * done between two looks, so that there is work when a process is killed, on a fast machine too.
 */
const batchMs = 50

export interface Ledger {
  readonly topic: string
  readonly database: FreshDatabase
  /** Starts one more process of the group. */
  start(): Member
  /** Next offsets by partition; empty before the first claim. */
  positions(): Promise<number[]>
  /** Records that have committed. */
  committed(): Promise<number>
}

/** @param maxItems of a batch: small ones make many commits, and so many places where something can strike */
export async function openLedger(maxItems: number): Promise<Ledger> {
  const topic = await freshTopic(partitions)
  const database = await freshDatabase(`
    create table ledger (id int not null, part int not null, pos bigint not null, writer int not null);
    create index on ledger (part, pos);
    create table accounts (account text primary key, entries int not null, amount bigint not null);
    create function take_time() returns trigger language plpgsql as
      $$ begin perform pg_sleep(${batchMs / 1000}); return null; end $$;
    create trigger slow after insert on ledger for each statement execute function take_time();
  `)
  const settings = {
    plan: 'test/integration/service/ledgerPlan.ts',
    group: topic,
    brokers: brokers.join(','),
    database: database.url,
    env: {
      LEDGER_TOPIC: topic,
      MILLRACE_KAFKA_SESSION_TIMEOUT_MS: '6000',
      MILLRACE_COMMIT_MAX_ITEMS: String(maxItems),
    },
  }
  const positions = async () => {
    const [known] = await database.query<{ exists: boolean }>(
      `select to_regclass('millrace.progress') is not null as exists`,
    )
    if (!known?.exists) return []
    const rows = await database.query<{ next: string }>(
      'select next_offset as next from millrace.progress order by partition',
    )
    return rows.map(({ next }) => Number(next))
  }
  return {
    topic,
    database,
    start: () => new Member(settings),
    positions,
    committed: async () => (await positions()).reduce((sum, next) => sum + next, 0),
  }
}

/** Entries `from` and following, spread evenly over the partitions. */
export function entries(from: number, count: number): Message[] {
  return Array.from({ length: count }, (_, index) => {
    const id = from + index
    const value = JSON.stringify({ id, account: `a${id % accounts}`, amount: id % 7 })
    return { partition: id % partitions, key: String(id), value }
  })
}
