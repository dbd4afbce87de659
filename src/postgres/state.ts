/** Keyed state in Postgres. */
import { stateEncoding } from '../core/stateCodec.ts'
import {
  type DueRange,
  type DueRows,
  type StateChanges,
  type StateOf,
  type StateRow,
  type StateStep,
  type StateStore,
  stateChanged,
} from '../core/stateStore.ts'
import { StateStaleError } from '../core/store.ts'
import { textArray } from './arrayLiteral.ts'
import type { Connections, Link } from './connections.ts'

/** Before anything that can be due. */
const earliest = '-9223372036854775808'

export class PostgresState implements StateStore {
  readonly #connections: Connections
  /** Numbers of steps, by app, stream and step. */
  readonly #ids = new Map<string, number>()

  constructor(connections: Connections) {
    this.#connections = connections
  }

  async open(app: string, steps: readonly StateStep[]): Promise<void> {
    await this.#connections.use('looking at the steps that keep state', async (link) => {
      for (const step of steps) this.#ids.set(idKey(app, step.stream, step.step), await openStep(link, app, step))
    })
  }

  async extent(of: StateOf): Promise<{ isEmpty: boolean; firstDue: number | null }> {
    const { rows } = await this.#read<{ some: boolean; due: string | null }>(
      of,
      `select exists (select from millrace.state where step = $1 and partition = $2) as some,
         (select due from millrace.due_state($1, $2, $3, '', 1)) as due`,
      [earliest],
    )
    const [row] = rows
    return { isEmpty: row?.some !== true, firstDue: numberOf(row?.due ?? null) }
  }

  async read(of: StateOf, keys: readonly string[]): Promise<readonly StateRow[]> {
    const { rows } = await this.#read<PgState>(
      of,
      'select key, at, value, due, version from millrace.read_state($1, $2, $3::text[])',
      [textArray(keys)],
    )
    return rows.map(stateRow)
  }

  async readDue(of: StateOf, { upTo, after, limit }: DueRange): Promise<DueRows> {
    // One more than asked for tells what comes behind.
    const { rows: due } = await this.#read<{ key: string; due: string }>(
      of,
      'select key, due from millrace.due_state($1, $2, $3, $4, $5)',
      [after?.due ?? earliest, after?.key ?? '', limit + 1],
    )
    const wanted = due.slice(0, limit).filter((row) => Number(row.due) <= upTo)
    const rows = wanted.length === 0 ? [] : await this.read(of, [...new Set(wanted.map(({ key }) => key))])
    const last = wanted.at(-1)
    return {
      rows,
      last: last === undefined ? after : { due: Number(last.due), key: last.key },
      next: numberOf(due[wanted.length]?.due ?? null),
    }
  }

  /**
   * Writes what a batch has changed: one statement for each step. Every cell is compared with what the batch knew of it.
   *
   * @throws StateStaleError when one is not as the batch knew it
   */
  async inTransactionWrite(link: Link, task: StateOf['task'], changes: readonly StateChanges[]): Promise<void> {
    for (const change of changes) {
      const { ended } = change
      const { rows } = await link.query<{ done: string; cells: string; versions: string }>(writeText, [
        this.#idOf({ task, step: change.step }),
        task.partition,
        textArray(change.keys),
        numberArray(change.ats),
        textArray(change.values),
        numberArray(change.dues),
        numberArray(change.versions),
        ended?.upTo ?? null,
      ])
      const { done, cells, versions } = rows[0] as (typeof rows)[0]
      if (Number(done) !== change.keys.length) throw stale(task, change.step)
      const isEnded = Number(cells) === (ended?.cells ?? 0) && Number(versions) === (ended?.versions ?? 0)
      if (!isEnded) throw stale(task, change.step)
    }
  }

  #read<Row extends object>(of: StateOf, text: string, values: readonly unknown[]) {
    const doing = `reading state of step "${of.step}", stream "${of.task.stream}", partition ${of.task.partition}`
    return this.#connections.use(doing, (link) =>
      link.query<Row & Record<string, unknown>>(text, [this.#idOf(of), of.task.partition, ...values]),
    )
  }

  #idOf({ task, step }: StateOf): number {
    return this.#ids.get(idKey(task.app, task.stream, step)) as number
  }
}

interface PgState {
  readonly key: string
  readonly at: string
  readonly value: string
  readonly due: string | null
  readonly version: string
}

const writeText = `select e.cells, e.versions,
    millrace.write_state($1, $2, $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[]) as done
  from millrace.end_state($1, $2, $8) e`

/** @returns the step's number @throws PlanError when its state is made of something else by now */
async function openStep(link: Link, app: string, { stream, step, shape }: StateStep): Promise<number> {
  await link.query(
    `insert into millrace.state_steps (app, stream, step, shape, encoding) values ($1, $2, $3, $4, $5) on conflict do nothing`,
    [app, stream, step, shape, stateEncoding],
  )
  const { rows } = await link.query<{ id: number; shape: string; encoding: number; empty: boolean }>(
    `select id, shape, encoding, not exists (select from millrace.state s where s.step = t.id) as empty
     from millrace.state_steps t where app = $1 and stream = $2 and step = $3`,
    [app, stream, step],
  )
  const [row] = rows
  if (row === undefined) return openStep(link, app, { stream, step, shape })
  if (row.shape === shape && row.encoding === stateEncoding) return row.id
  if (!row.empty) throw stateChanged(app, { stream, step, shape }, row.shape)
  await link.query(
    'update millrace.state_steps set shape = $2, encoding = $3, noted_at = clock_timestamp() where id = $1',
    [row.id, shape, stateEncoding],
  )
  return row.id
}

function stale({ stream, partition }: StateOf['task'], step: string): StateStaleError {
  return new StateStaleError('MR-STATE-STALE', {
    what: `state of step "${step}" is not what this process has read`,
    why: 'Somebody has changed millrace.state by hand.',
    fix: 'Nothing was committed; the batch is run again with what is there now.',
    place: { stream, step, partition },
  })
}

function stateRow({ key, at, value, due, version }: PgState): StateRow {
  return { key, at: Number(at), value, due: numberOf(due), version: Number(version) }
}

function numberOf(text: string | null): number | null {
  return text === null ? null : Number(text)
}

/** Numbers need no quotes. */
function numberArray(numbers: readonly (number | null)[]): string {
  return `{${numbers.map((number) => number ?? 'NULL').join(',')}}`
}

function idKey(app: string, stream: string, step: string): string {
  return JSON.stringify([app, stream, step])
}
