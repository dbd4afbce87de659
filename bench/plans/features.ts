/** Plans with a feature, and without it: see `bench/features.ts`. */
import { signal, table } from 'millrace'
import { isPoison, isSignalled, repeatedBy } from '../events.ts'
import { type EventRow, eventsTable, type PlanMaker, rows } from './events.ts'

const notesTable = table<{ readonly id: number; readonly account: string; readonly cents: number }>('bench_notes')

/** Two rows for each item, of which one in ten is undone afterwards. */
const signals: PlanMaker = (topicName, observed) =>
  rows(topicName, observed).tap((row, ctx) => {
    ctx.write(eventsTable, row)
    ctx.write(notesTable, { id: row.id, account: row.account, cents: row.cents })
    if (isSignalled(row.id)) signal.ignore('one in ten')
  })

const signalsWithout: PlanMaker = (topicName, observed) =>
  rows(topicName, observed)
    .filter(({ id }) => !isSignalled(id))
    .tap((row, ctx) => {
      ctx.write(eventsTable, row)
      ctx.write(notesTable, { id: row.id, account: row.account, cents: row.cents })
    })

/** Rows for a table, some of them changed to what it refuses. */
function poison(tableName: string, spoilt: (row: EventRow) => EventRow): PlanMaker {
  const target = table<EventRow>(tableName)
  return (topicName, observed) =>
    rows(topicName, observed)
      .map((row) => (isPoison(row.id) ? spoilt(row) : row))
      .to(target)
}

const asTheyAre = (row: EventRow): EventRow => row

const tracked = table<EventRow>('bench_tracked', { track: true })

/** A sum for each account. */
function sums(tableName: string, track: boolean): PlanMaker {
  const target = table<{
    readonly account: string
    readonly events: number
    readonly ids: number
    readonly cents: number
  }>(tableName, { key: 'account', onConflict: { events: 'add', ids: 'add', cents: 'add' }, track })
  return (topicName, observed) =>
    rows(topicName, observed).to(target, ({ id, account, cents }) => ({ account, events: 1, ids: id, cents }))
}

export const featurePlans: Readonly<Record<string, PlanMaker>> = {
  signals,
  'signals-without': signalsWithout,
  poison: poison('bench_checked', (row) => ({ ...row, cents: -1 })),
  'poison-without': poison('bench_checked', asTheyAre),
  'poison-unique': poison('bench_keyed', (row) => ({ ...row, id: repeatedBy(row.id) })),
  'poison-unique-without': poison('bench_keyed', asTheyAre),
  'poison-foreign': poison('bench_tied', (row) => ({ ...row, country: 'nowhere' })),
  'poison-foreign-without': poison('bench_tied', asTheyAre),
  track: (topicName, observed) => rows(topicName, observed).to(tracked),
  'track-without': (topicName, observed) => rows(topicName, observed).to(eventsTable),
  'track-add': sums('bench_totals_tracked', true),
  'track-add-without': sums('bench_totals', false),
}
