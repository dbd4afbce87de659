/** Asks a query of the user's own for the rows of keys. */
import pg from 'pg'
import { StoreError } from '../core/errors.ts'
import type { Key } from '../core/key.ts'
import type { LookupQuery } from '../core/lookup.ts'
import { KeysRefused } from '../core/store.ts'
import type { Link } from './connections.ts'
import { requireNames } from './queryRows.ts'

/** @throws as `Store.lookup` says */
export async function readLookup(
  link: Link,
  { sql, params, by }: LookupQuery<object>,
  keys: readonly Key[],
): Promise<readonly object[]> {
  const { rows, fields } = await link.read(sql, [keys, ...params]).catch((error: unknown) => {
    throw errorOf(error, sql)
  })
  requireNames(fields)
  const names = fields.map(({ name }) => name)
  if (!names.includes(by)) throw noColumn(by, names)
  return rows
}

/** What is wrong with the query, or with the keys; other errors are as they came. */
function errorOf(error: unknown, sql: string): unknown {
  if (!(error instanceof pg.DatabaseError)) return error
  const { code = '', message } = error
  if (code.startsWith('22')) return new KeysRefused(error)
  // The protocol's own complaint is about a query that has another number of parameters.
  if (!code.startsWith('42') && code !== '08P01') return error
  return new StoreError('MR-LOOKUP-QUERY', {
    what: `Postgres cannot carry out the query of a lookup: ${sql.replace(/\s+/g, ' ').slice(0, 100)}`,
    why: `${message} (SQLSTATE ${code})`,
    fix: 'Correct it: $1 stands for the list of keys, as in "where code = any($1)", and params for $2 and so on.',
    cause: error,
  })
}

function noColumn(by: string, names: readonly string[]): StoreError {
  return new StoreError('MR-LOOKUP-COLUMN', {
    what: `the query of a lookup has no column "${by}", by which its rows are to be found`,
    why: `Its columns are ${names.join(', ')}.`,
    fix: 'Select the column, or name the one that holds the key: query(…, { by }).',
  })
}
