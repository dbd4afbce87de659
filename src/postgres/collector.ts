import { fingerprint, userLine } from '../core/fingerprint.ts'
import { isCharacters } from '../core/options.ts'
import type { CollectedItem, Settlement } from '../core/store.ts'
import { type ArrayElement, textArray } from './arrayLiteral.ts'
import type { Link } from './connections.ts'
import { instantText } from './timestamp.ts'

/** Characters kept of a text: a message tells what it has to tell at its beginning. */
const maxLength = { name: 1_000, message: 8_000, stack: 16_000 } as const
const maxInteger = 2 ** 31 - 1
/** Postgres's first timestamp, rounded up. */
const firstTimestampMs = Date.UTC(-4700, 0, 1)

/** Earlier failures kept of an item: the last ones. */
const maxHistory = 100
/** A century: what is longer is no time that Postgres could add to now. */
const maxRetryMs = 100 * 365 * 86_400_000

type Column = readonly [name: string, type: string, value: (item: CollectedItem, maxValueBytes: number) => ArrayElement]

/** What the collector keeps of an item, column by column; the types are those that the texts of an array are cast to. */
const columns: readonly Column[] = [
  ['stream', 'text', ({ stream }) => cleaned(stream, maxLength.name)],
  ['task_stream', 'text', ({ taskStream }) => cleaned(taskStream, maxLength.name)],
  ['step', 'text', ({ step }) => cleaned(step, maxLength.name)],
  ['topic', 'text', ({ topic }) => cleaned(topic, maxLength.name)],
  ['partition', 'integer', ({ partition }) => String(partition)],
  ['record_offset', 'bigint', ({ offset }) => String(offset)],
  ['record_timestamp', 'timestamptz', ({ timestamp }) => timestampText(timestamp)],
  ['key', 'bytea', ({ key }) => bytesText(key)],
  ['value', 'bytea', (item, max) => bytesText(isCut(item, max) ? item.value.subarray(0, max) : item.value)],
  ['cut_from', 'bigint', (item, max) => (isCut(item, max) ? String(item.value.length) : null)],
  ['header_keys', 'text[]', ({ headers }) => textArray(headers.map(({ key }) => cleaned(key, maxLength.name)))],
  ['header_values', 'bytea[]', ({ headers }) => textArray(headers.map(({ value }) => bytesText(value)))],
  ['error_name', 'text', ({ error }) => cleaned(error.name, maxLength.name)],
  ['error_message', 'text', ({ error }) => cleaned(error.message, maxLength.message)],
  ['error_code', 'text', ({ error }) => cleanedOrNull(error.code, maxLength.name)],
  ['error_stack', 'text', ({ error }) => cleanedOrNull(error.stack, maxLength.stack)],
  ['at_line', 'text', ({ error }) => cleanedOrNull(userLine(error.stack), maxLength.name)],
  ['fingerprint', 'text', ({ step, error }) => fingerprint(step, error)],
  ['attempts', 'integer', ({ attempts }) => String(Math.min(attempts, maxInteger))],
  ['state', 'text', ({ state }) => state],
  // A changed text would be taken for what it is not.
  ['remembered', 'text', ({ remembered }) => (remembered !== null && isCharacters(remembered) ? remembered : null)],
  ['retry_in_ms', 'float8', ({ retryInMs }) => (retryInMs === null ? null : String(timeFrom(retryInMs)))],
]

/** Only of an item that waits for somebody: one that comes back by itself has to come back whole. */
function isCut(item: CollectedItem, maxValueBytes: number): item is CollectedItem & { readonly value: Buffer } {
  return item.state === 'open' && item.value !== null && item.value.length > maxValueBytes
}

function timeFrom(ms: number): number {
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), maxRetryMs)
}

const names = columns.map(([name]) => name)
const givenNames = names.join(', ')
/** A pause is given, and kept as the time when it ends on the database's own clock. */
const keptNames = names.map((name) => (name === 'retry_in_ms' ? 'retry_at' : name)).join(', ')
const keptValues = columns
  .map(([name, type]) => {
    const value = `given.${name}::${type}`
    return name === 'retry_in_ms' ? `clock_timestamp() + ${value} * interval '1 millisecond'` : value
  })
  .join(', ')
const parameters = columns.map((_, index) => `$${index + 2}::text[]`).join(', ')

const insertStatement = `
  insert into millrace.errors (app, ${keptNames})
  select $1, ${keptValues} from unnest(${parameters}) as given (${givenNames})`

/** The same, and the task's error counters with it: where items fell after the fence. */
const insertAndCount = `
  with counted as (
    update millrace.progress set budget = $${columns.length + 2}
    where app = $1 and stream = $${columns.length + 3} and partition = $${columns.length + 4}
  )
  ${insertStatement}`

/** The failure before goes into the history, behind those that are there. */
const failAgainStatement = `
  update millrace.errors e set (${keptNames}, collected_at, history) = (
    select ${keptValues}, clock_timestamp(),
      case when jsonb_array_length(e.history) < ${maxHistory} then e.history else e.history - 0 end || jsonb_build_object('at', e.collected_at, 'step', e.step,
      'name', e.error_name, 'message', e.error_message, 'code', e.error_code, 'attempts', e.attempts)
  )
  from unnest($1::text[], ${parameters}) as given (id, ${givenNames})
  where e.id = given.id::bigint and e.state not in ('done', 'ignored')`

/** As one array for each column. */
function arraysOf(items: readonly CollectedItem[], maxValueBytes: number): string[] {
  return columns.map(([, , value]) => textArray(items.map((item) => value(item, maxValueBytes))))
}

/**
 * Puts failed items into the error collector, inside the caller's transaction. It cannot fail on what they hold: bytes
 * go as bytes; texts are freed of what Postgres refuses, and cut.
 */
export async function inTransactionCollect(
  link: Link,
  app: string,
  items: readonly CollectedItem[],
  maxValueBytes: number,
  counted?: Counted,
): Promise<void> {
  if (items.length === 0) return
  const values = [cleaned(app, maxLength.name), ...arraysOf(items, maxValueBytes)]
  if (counted === undefined) await link.query(insertStatement, values)
  else await link.query(insertAndCount, [...values, counted.budget, counted.stream, counted.partition])
}

/** Error counters of a task. */
interface Counted {
  readonly budget: string | null
  readonly stream: string
  readonly partition: number
}

/** Settles items of the collector. One that is gone or was settled meanwhile, by somebody at the command line, is passed over. */
export async function inTransactionSettle(
  link: Link,
  settlements: readonly Settlement[],
  maxValueBytes: number,
): Promise<void> {
  for (const outcome of ['done', 'ignored'] as const) {
    const ids = settlements.filter((one) => one.outcome === outcome).map(({ id }) => id)
    if (ids.length === 0) continue
    await link.query(
      `update millrace.errors set state = $1, settled_at = clock_timestamp(), remembered = null
       where id = any($2::bigint[]) and state not in ('done', 'ignored')`,
      [outcome, textArray(ids)],
    )
  }
  const again = settlements.flatMap(({ id, failure }) => (failure === undefined ? [] : [{ id, failure }]))
  if (again.length === 0) return
  const ids = textArray(again.map(({ id }) => id))
  await link.query(failAgainStatement, [
    ids,
    ...arraysOf(
      again.map(({ failure }) => failure),
      maxValueBytes,
    ),
  ])
}

const refused = /\0|\p{Surrogate}/gu

/** A text that Postgres takes: cut to a length, without NUL and halves of surrogate pairs. */
export function cleaned(text: string, length: number): string {
  // The cut may part a pair, so it comes first.
  return text.slice(0, length).replace(refused, '\ufffd')
}

function cleanedOrNull(text: string | null, length: number): string | null {
  return text === null ? null : cleaned(text, length)
}

function bytesText(bytes: Buffer | null): string | null {
  return bytes === null ? null : `\\x${bytes.toString('hex')}`
}

// A producer may write any number into a record's timestamp.
function timestampText(timestamp: Date | null): string | null {
  if (timestamp === null) return null
  const ms = timestamp.getTime()
  return ms >= firstTimestampMs ? instantText(ms) : null
}
