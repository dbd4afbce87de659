/** What the rows of a user's own query look like, however they are read. */
import pg from 'pg'
import { StoreError } from '../core/errors.ts'

const { DATE, TIMESTAMP } = pg.types.builtins

/** Values as pg reads them, but for dates and timestamps without a zone, which are in UTC. */
export const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (format !== 'binary' && (oid === DATE || oid === TIMESTAMP)) return inUtc
    return pg.types.getTypeParser(oid, format)
  }) as typeof pg.types.getTypeParser,
}

/** pg would read a time without a zone as one of the machine's, and give another one elsewhere. */
function inUtc(text: string): Date | string {
  const plain = /^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?)?$/.test(text)
  return plain ? new Date(`${text.replace(' ', 'T')}${text.includes(' ') ? 'Z' : ''}`) : text
}

/** @throws StoreError MR-QUERY-COLUMNS: of two columns of one name a row would have only the last */
export function requireNames(fields: readonly pg.FieldDef[]): void {
  const names = fields.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice === undefined) return
  throw new StoreError('MR-QUERY-COLUMNS', {
    what: `two columns of the query are called "${twice}"`,
    fix: 'Give them names of their own: select a.id as a_id, b.id as b_id …',
  })
}
