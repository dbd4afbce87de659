import type { CollectedItem } from '../core/store.ts'
import { type ArrayElement, textArray } from './arrayLiteral.ts'
import type { Link } from './connections.ts'
import { instantText } from './timestamp.ts'

/** Characters kept of a text: a message tells what it has to tell at its beginning. */
const maxLength = { name: 1_000, message: 8_000, stack: 16_000 } as const
const maxInteger = 2 ** 31 - 1
/** Postgres's first timestamp, rounded up. */
const firstTimestampMs = Date.UTC(-4700, 0, 1)

const statement = `
  insert into millrace.errors (app, stream, step, topic, partition, record_offset, record_timestamp, key, value,
    header_keys, header_values, error_name, error_message, error_code, error_stack, attempts)
  select $1, stream, step, topic, partition::integer, record_offset::bigint, record_timestamp::timestamptz, key::bytea,
    value::bytea, header_keys::text[], header_values::bytea[], name, message, code, stack, attempts::integer
  from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[])
  as item (stream, step, topic, partition, record_offset, record_timestamp, key, value, header_keys, header_values,
    name, message, code, stack, attempts)`

/**
 * Puts failed items into the error collector, inside the caller's transaction. It cannot fail on what they hold: bytes
 * go as bytes; texts are freed of what Postgres refuses, and cut.
 */
export async function inTransactionCollect(link: Link, app: string, items: readonly CollectedItem[]): Promise<void> {
  if (items.length === 0) return
  const column = (value: (item: CollectedItem) => ArrayElement) => textArray(items.map(value))
  await link.query(statement, [
    cleaned(app, maxLength.name),
    column(({ stream }) => cleaned(stream, maxLength.name)),
    column(({ step }) => cleaned(step, maxLength.name)),
    column(({ topic }) => cleaned(topic, maxLength.name)),
    column(({ partition }) => String(partition)),
    column(({ offset }) => String(offset)),
    column(({ timestamp }) => timestampText(timestamp)),
    column(({ key }) => bytesText(key)),
    column(({ value }) => bytesText(value)),
    column(({ headers }) => textArray(headers.map(({ key }) => cleaned(key, maxLength.name)))),
    column(({ headers }) => textArray(headers.map(({ value }) => bytesText(value)))),
    column(({ error }) => cleaned(error.name, maxLength.name)),
    column(({ error }) => cleaned(error.message, maxLength.message)),
    column(({ error }) => (error.code === null ? null : cleaned(error.code, maxLength.name))),
    column(({ error }) => (error.stack === null ? null : cleaned(error.stack, maxLength.stack))),
    column(({ attempts }) => String(Math.min(attempts, maxInteger))),
  ])
}

const refused = /\0|\p{Surrogate}/gu

/** A text that Postgres takes: cut to a length, without NUL and halves of surrogate pairs. */
export function cleaned(text: string, length: number): string {
  // The cut may part a pair, so it comes first.
  return text.slice(0, length).replace(refused, '\ufffd')
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
