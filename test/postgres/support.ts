import { type TableOptions, table } from '../../sinks/table.ts'
import type { TableColumn, TableInfo } from '../../src/postgres/catalog.ts'
import { scalarType } from '../../src/postgres/columnType.ts'
import type { Link } from '../../src/postgres/connections.ts'
import type { BoundSink } from '../../src/postgres/sinkChecks.ts'

/** A column as the catalog would tell of it, nullable and without a default unless said otherwise. */
export function column(name: string, type: string, more: Partial<TableColumn> = {}): TableColumn {
  return {
    name,
    quoted: name,
    type: scalarType(type, -1),
    shownType: type,
    castType: type,
    notNull: false,
    hasDefault: false,
    generated: false,
    isDomain: false,
    ...more,
  }
}

/** A sink with a table that no database has. */
export function boundTo(
  columns: readonly TableColumn[],
  options: TableOptions<object> = {},
  more: Partial<TableInfo> = {},
): BoundSink {
  const key = options.key === undefined ? [] : [options.key].flat()
  return {
    sink: table<object>('t', options),
    name: 't',
    table: {
      oid: 1,
      bareName: 't',
      quoted: 'public.t',
      columns: new Map(columns.map((each) => [each.name, each])),
      uniques: key.length === 0 ? [] : [{ columns: key, arbiter: true, deferrable: false, nullsEqual: false }],
      constraints: [],
      foreignKeys: [],
      hasTriggers: false,
      mayInsert: true,
      mayUpsert: true,
      kind: 'table',
      ...more,
    },
  }
}

/** What a connection was told. */
export interface Told {
  readonly text: string
  readonly data: string | readonly unknown[]
}

/** A connection that notes what it is told. */
export function recordingLink(): { readonly link: Link; readonly told: Told[] } {
  const told: Told[] = []
  const link = {
    query: async (text: string, values: readonly unknown[] = []) => {
      told.push({ text, data: values })
      return { rows: [] }
    },
    copyIn: async (text: string, chunks: readonly Buffer[]) => {
      told.push({ text, data: Buffer.concat([...chunks]).toString() })
    },
  }
  return { link: link as unknown as Link, told }
}
