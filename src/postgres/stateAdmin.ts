/** Looking at keyed state, and dropping it by hand: planned before done, and audited. */
import { keyOfText, textOfKey } from '../core/key.ts'
import { textArray } from './arrayLiteral.ts'
import { Connections, type Link } from './connections.ts'
import { type PostgresSettings, postgresTarget } from './settings.ts'

/** A step that keeps state. */
export interface StateSummary {
  readonly stream: string
  readonly step: string
  /** What the state is made of. */
  readonly shape: string
  readonly keys: number
  readonly cells: number
}

/** One cell of a key. */
export interface StateCell {
  readonly stream: string
  readonly partition: number
  readonly key: string
  /** Where it stands in event time; null where a key has one value. */
  readonly at: Date | null
  /** As JSON. */
  readonly value: string
  /** Event time from which on it is worked off. */
  readonly due: Date | null
}

export interface StateFilter {
  readonly app: string
  readonly step?: string | undefined
  readonly stream?: string | undefined
  /** A key as it is written: also that of a number, a bigint or a boolean. */
  readonly key?: string | undefined
}

export interface StateAdmin {
  steps(filter: StateFilter): Promise<readonly StateSummary[]>
  /** Cells in the order of keys. */
  cells(filter: StateFilter, limit: number): Promise<readonly StateCell[]>
  /** Deletes them, and notes it in `millrace.audit`. Says how many there were. A service that runs reads state again. */
  drop(filter: StateFilter): Promise<number>
  close(): Promise<void>
}

/** Connects when it is first asked; close it. @throws SettingsError when a setting is out of range */
export function createStateAdmin(settings: PostgresSettings): StateAdmin {
  const connections = new Connections(postgresTarget({ ...settings, poolSize: 1 }))
  const use = <T>(doing: string, work: (link: Link) => Promise<T>, none: T) =>
    connections.use(doing, async (link) => ((await isStateThere(link)) ? work(link) : none))
  return {
    steps: (filter) => use('reading state', (link) => readSteps(link, filter), []),
    cells: (filter, limit) => use('reading state', (link) => readCells(link, filter, limit), []),
    drop: (filter) => use('dropping state', (link) => dropCells(link, filter), 0),
    close: () => connections.close(),
  }
}

async function isStateThere(link: Link): Promise<boolean> {
  const { rows } = await link.query<{ there: boolean }>(`select to_regclass('millrace.state') is not null as there`)
  return rows[0]?.there === true
}

/** $1 to $4 of every statement here. */
const meant = `s.app = $1 and ($2::text is null or s.stream = $2) and ($3::text is null or s.step = $3)
  and ($4::text[] is null or c.key = any ($4))`

function valuesOf({ app, stream, step, key }: StateFilter): (string | null)[] {
  return [app, stream ?? null, step ?? null, key === undefined ? null : textArray(textsOf(key))]
}

/** What a key may be that somebody has written. */
function textsOf(key: string): string[] {
  const texts = [textOfKey(key)]
  if (key !== '' && Number.isFinite(Number(key))) texts.push(textOfKey(Number(key)))
  if (/^-?\d+$/.test(key)) texts.push(textOfKey(BigInt(key)))
  if (key === 'true' || key === 'false') texts.push(textOfKey(key === 'true'))
  return texts
}

async function readSteps(link: Link, filter: StateFilter): Promise<StateSummary[]> {
  const { rows } = await link.query<{ stream: string; step: string; shape: string; keys: number; cells: number }>(
    `select s.stream, s.step, s.shape, count(distinct (c.partition, c.key))::float8 as keys, count(c.key)::float8 as cells
     from millrace.state_steps s left join millrace.state c on c.step = s.id
     where s.app = $1 and ($2::text is null or s.stream = $2) and ($3::text is null or s.step = $3)
     group by s.id order by s.stream, s.step`,
    valuesOf(filter).slice(0, 3),
  )
  return rows.map(({ stream, step, shape, keys, cells }) => ({ stream, step, shape, keys, cells }))
}

async function readCells(link: Link, filter: StateFilter, limit: number): Promise<StateCell[]> {
  const { rows } = await link.query<{
    stream: string
    partition: number
    key: string
    at: string
    value: string
    due: string | null
  }>(
    `select s.stream, c.partition, c.key, c.at, c.value, c.due
     from millrace.state c join millrace.state_steps s on s.id = c.step
     where ${meant} order by s.stream, c.key, c.at limit $5`,
    [...valuesOf(filter), limit],
  )
  return rows.map(({ stream, partition, key, at, value, due }) => ({
    stream,
    partition,
    key: String(keyOfText(key)),
    at: at === '0' ? null : new Date(Number(at)),
    value,
    due: due === null ? null : new Date(Number(due)),
  }))
}

async function dropCells(link: Link, filter: StateFilter): Promise<number> {
  const { rows } = await link.query<{ count: number }>(
    `with gone as (
       delete from millrace.state c using millrace.state_steps s where s.id = c.step and ${meant} returning s.stream, s.step
     ), noted as (
       insert into millrace.audit (app, action, stream, source, items)
       select $1, 'state drop', stream, step, count(*) from gone group by stream, step
     )
     select count(*)::float8 as count from gone`,
    valuesOf(filter),
  )
  return rows[0]?.count ?? 0
}
