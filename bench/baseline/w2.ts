/** W2 by hand: windows in memory only, rows by COPY when they close, or upserted for those that a batch has changed. */
import type pg from 'pg'
import { graceMs, sizeMs, type WindowEvent } from '../windows.ts'
import type { Lane, Write } from './consumer.ts'
import { copyField, copyText } from './copy.ts'

interface Sums {
  events: number
  cents: number
}

export function createW2Lane(): Lane {
  const windows = new Map<number, Map<string, Sums>>()
  let newest = 0
  return {
    counted: 0,
    take(messages) {
      for (const { value } of messages) {
        if (value === null) continue
        const { account, cents, at } = JSON.parse(value.toString()) as WindowEvent
        if (at > newest) newest = at
        const start = Math.floor(at / sizeMs) * sizeMs
        if (start + sizeMs + graceMs <= newest) continue
        add(windows, start, account, cents)
      }
      let text = ''
      for (const [start, sums] of windows) {
        if (start + sizeMs + graceMs > newest) continue
        const at = new Date(start).toISOString()
        for (const [account, { events, cents }] of sums) text += `${copyField(account)}\t${at}\t${events}\t${cents}\n`
        windows.delete(start)
      }
      if (text === '') return undefined
      return (client) => copyText(client, 'bench_windows (account, window_start, events, cents)', text)
    },
  }
}

export function createW2UpdateLane(): Lane {
  const windows = new Map<number, Map<string, Sums>>()
  let newest = 0
  return {
    counted: 0,
    take(messages) {
      const changed = new Map<number, Set<string>>()
      for (const { value } of messages) {
        if (value === null) continue
        const { account, cents, at } = JSON.parse(value.toString()) as WindowEvent
        if (at > newest) newest = at
        const start = Math.floor(at / sizeMs) * sizeMs
        if (start + sizeMs + graceMs <= newest) continue
        add(windows, start, account, cents)
        const accounts = changed.get(start) ?? new Set()
        changed.set(start, accounts.add(account))
      }
      const write = upsert(windows, changed)
      for (const start of windows.keys()) if (start + sizeMs + graceMs <= newest) windows.delete(start)
      return write
    },
  }
}

function add(windows: Map<number, Map<string, Sums>>, start: number, account: string, cents: number): void {
  let sums = windows.get(start)
  if (sums === undefined) {
    sums = new Map()
    windows.set(start, sums)
  }
  const known = sums.get(account)
  if (known === undefined) sums.set(account, { events: 1, cents })
  else {
    known.events++
    known.cents += cents
  }
}

function upsert(
  windows: ReadonlyMap<number, ReadonlyMap<string, Sums>>,
  changed: ReadonlyMap<number, Set<string>>,
): Write {
  const columns: [string[], string[], number[], number[]] = [[], [], [], []]
  for (const [start, accounts] of changed) {
    const at = new Date(start).toISOString()
    for (const account of accounts) {
      const sums = windows.get(start)?.get(account)
      if (sums === undefined) continue
      columns[0].push(account)
      columns[1].push(at)
      columns[2].push(sums.events)
      columns[3].push(sums.cents)
    }
  }
  return async (client: pg.Client) => {
    await client.query(
      `insert into bench_windows_now (account, window_start, events, cents)
       select * from unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[])
       on conflict (account, window_start) do update set events = excluded.events, cents = excluded.cents`,
      columns,
    )
  }
}
