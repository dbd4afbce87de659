/** What `millrace errors replay` and `ignore` ask of the collector, carried out on the model. */
import { type Asked, isUnsettled, visibleItems } from './modelCollector.ts'
import type { Values } from './modelTable.ts'

type Action = 'replay' | 'ignore'

interface Sent extends Asked {
  readonly text: string
  readonly values: readonly unknown[]
}

/** Both say in the statement what they leave as it is: only a replay minds that there is no record. */
function actionOf({ text }: Sent): Action {
  return text.includes("'without record'") ? 'replay' : 'ignore'
}

/** Items of one kind that would be changed, or left as they are. */
export function plannedGroups(sent: Sent): readonly object[] {
  const action = actionOf(sent)
  const groups = new Map<string, Values[]>()
  for (const row of visibleItems(sent).filter((one) => isOfFilter(one, sent.values))) {
    const { stream, task_stream, step, fingerprint, error_name } = row
    const name = JSON.stringify([stream, task_stream, step, fingerprint, error_name, leftFor(action, row)])
    groups.set(name, [...(groups.get(name) ?? []), row])
  }
  return Array.from(groups.values(), (rows) => {
    const [newest = {}] = rows.toSorted((a, b) => Number(b.id) - Number(a.id))
    const times = rows.map(({ collected_at }) => Number(collected_at))
    return {
      ...newest,
      left_for: leftFor(action, newest),
      items: rows.length,
      oldest_at: new Date(Math.min(...times)),
      newest_at: new Date(Math.max(...times)),
      message: newest.error_message,
    }
  })
}

/** Changes what is meant and is not locked by anybody. Says how many. */
export function changePortion(sent: Sent): readonly object[] {
  const action = actionOf(sent)
  const { database, transaction } = sent
  const change = (old: Values): Values =>
    action === 'replay'
      ? { ...old, state: 'replaying', retry_at: null, settled_at: null }
      : { ...old, state: 'ignored', settled_at: String(database.now()), retry_at: null, remembered: null }
  const table = database.table('millrace.errors')
  let count = 0
  for (const row of table.rows) {
    const values = table.visible(row, transaction)
    if (values === undefined || !isMeant(action, values, sent.values)) continue
    if (row.by !== undefined && row.by !== transaction) continue
    transaction.write(table, row, change(values))
    count++
  }
  return [{ count }]
}

/** How many are meant still: those that somebody has locked. */
export function countMeant(sent: Sent): readonly object[] {
  const action = actionOf(sent)
  return [{ count: visibleItems(sent).filter((row) => isMeant(action, row, sent.values)).length }]
}

/** Asks for parked items that are the first of their key. */
export function wakeParked(sent: Sent): readonly object[] {
  const [app] = sent.values
  const { database, transaction } = sent
  const firsts = new Map<string, Values>()
  for (const row of visibleItems(sent)) {
    // A null is like nothing else.
    if (row.app !== app || !isUnsettled(row) || row.key === null) continue
    const name = JSON.stringify([row.task_stream, row.partition, row.key])
    const first = firsts.get(name)
    if (first === undefined || isBefore(row, first)) firsts.set(name, row)
  }
  const ids = new Set(Array.from(firsts.values(), ({ id }) => id))
  const table = database.table('millrace.errors')
  for (const row of table.rows) {
    const values = table.visible(row, transaction)
    if (values === undefined || values.state !== 'parked' || !ids.has(values.id)) continue
    if (row.by === undefined || row.by === transaction) transaction.write(table, row, { ...values, state: 'replaying' })
  }
  return []
}

function isMeant(action: Action, row: Values, values: readonly unknown[]): boolean {
  const plannedAt = values[11]
  return isOfFilter(row, values) && leftFor(action, row) === null && Number(row.collected_at) <= Number(plannedAt)
}

function leftFor(action: Action, { state, cut_from, record_offset }: Values): string | null {
  if (action === 'ignore') return state === 'done' || state === 'ignored' ? 'settled' : null
  if (state === 'done') return 'settled'
  if (state === 'replaying' || state === 'parked') return state
  if (cut_from !== null) return 'cut'
  return Number(record_offset) < 0 ? 'without record' : null
}

function isOfFilter(row: Values, values: readonly unknown[]): boolean {
  const [app, stream, step, fingerprint, states, since, until, key, partition, ids, settledBefore] = values
  if ([stream, step, fingerprint, since, until, key, settledBefore].some((value) => value !== undefined))
    throw new Error('the model knows filters by state, partition and id only')
  return (
    row.app === app &&
    (states === undefined || (states as readonly unknown[]).includes(row.state)) &&
    (partition === undefined || row.partition === String(partition)) &&
    (ids === undefined || (ids as readonly unknown[]).includes(row.id))
  )
}

function isBefore(one: Values, other: Values): boolean {
  const [a, b] = [Number(one.record_offset), Number(other.record_offset)]
  return a < b || (a === b && Number(one.id) < Number(other.id))
}
