/**
 * Counts the SQL statements of transactions that commit batches, where node-postgres hands them to its connection: several
 * may share a message. It costs a look at a few short texts for each transaction.
 */
import pg from 'pg'
import type { StatementCount } from '../child.ts'

const fence = 'millrace.fence('

export function countStatements(): StatementCount {
  const count = { all: 0, commits: 0 }
  /** Connections that are in such a transaction. */
  const committing = new WeakSet<object>()
  const note = (client: object, text: string) => {
    if (text.includes(fence)) committing.add(client)
    if (!committing.has(client)) return
    count.all += statementsIn(text)
    if (text === 'commit') count.commits++
    if (text === 'commit' || text === 'rollback') committing.delete(client)
  }
  const { prototype } = pg.Connection
  const { query, parse } = prototype
  prototype.query = function (this: pg.Connection, text: string) {
    note(this, text)
    return query.call(this, text)
  }
  prototype.parse = function (this: pg.Connection, prepared: Parameters<typeof parse>[0], more: boolean) {
    note(this, prepared.text)
    return parse.call(this, prepared, more)
  }
  return count
}

/** Semicolons in texts and names part no statements. */
function statementsIn(text: string): number {
  const bare = text.replaceAll(/'[^']*'|"[^"]*"/g, '')
  return bare.split(';').filter((part) => part.trim() !== '').length
}
