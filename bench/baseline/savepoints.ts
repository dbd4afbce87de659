/**
 * W1-ignore with what a database offers for undoing one item: a SAVEPOINT for each, every statement awaited, as pg is
 * commonly used. The insert is prepared.
 */
import type pg from 'pg'
import { type BenchEvent, isIgnored } from '../events.ts'
import type { Lane } from './consumer.ts'

const insert = {
  name: 'insert',
  text: 'insert into bench_events (id, account, kind, cents, country, at) values ($1, $2, $3, $4, $5, $6)',
}

export function createSavepointLane(): Lane {
  return {
    counted: 0,
    take(messages) {
      const events: BenchEvent[] = []
      for (const { value } of messages) {
        if (value === null) continue
        const event = JSON.parse(value.toString()) as BenchEvent
        if (event.kind !== 'ping') events.push(event)
      }
      return events.length === 0 ? undefined : (client) => insertEach(client, events)
    },
  }
}

async function insertEach(client: pg.Client, events: readonly BenchEvent[]): Promise<void> {
  for (const { id, account, kind, amount, country, at } of events) {
    await client.query('savepoint item')
    await client.query({ ...insert, values: [id, account, kind, Math.round(amount * 100), country, at] })
    await client.query(isIgnored(id) ? 'rollback to savepoint item; release savepoint item' : 'release savepoint item')
  }
}
