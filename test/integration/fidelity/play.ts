/** Plays a script on one side: the modelled Postgres or the real one. What comes out can be compared. */
import pg from 'pg'
import { textArray } from '../../../src/postgres/arrayLiteral.ts'
import type { Link } from '../../../src/postgres/connections.ts'
import { beginFenced } from '../../../src/postgres/progress.ts'
import { CollectorPlayer } from './collector.ts'
import type { Action, Step } from './script.ts'

/** Connections to one Postgres. */
export interface Side {
  readonly links: readonly Link[]
  /** Resolves when every statement under way has been answered or waits for a lock. */
  calm(): Promise<void>
  /** Everything that is committed. */
  contents(): Promise<Readonly<Record<string, readonly string[]>>>
}

export const tableNames = ['ledger', 'totals', 'parents', 'children'] as const

/** As `upsertPlan.ts` writes them. */
const totals = `insert into totals as old (acct, n, low, high) select c0::text, c1::integer, c2::integer, c3::integer from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as given (c0, c1, c2, c3)
    on conflict (acct) do update set n = coalesce(old.n + excluded.n, old.n, excluded.n), low = least(old.low, excluded.low), high = greatest(old.high, excluded.high)`
const parents = `insert into parents as old (acct) select c0::text from unnest($1::text[]) as given (c0)
    on conflict (acct) do nothing`

interface Claimed {
  readonly owner: string
  version: number
}

/** Plays one script. */
class Player {
  readonly #side: Side
  readonly #claims = new Map<number, Claimed[]>()
  /** Claims that a connection has moved on, and not committed. */
  readonly #moved = new Map<Link, Claimed>()
  readonly #collector = new CollectorPlayer()
  readonly #inTransaction = new Set<Link>()

  constructor(side: Side) {
    this.#side = side
  }

  /** What became known after each step: answers, and who waits. */
  async play(script: readonly Step[]): Promise<readonly string[]> {
    const told: string[] = []
    const busy = new Set<Link>()
    const answers: string[] = []
    for (const [index, { connection, action }] of script.entries()) {
      const link = this.#side.links[connection]
      // One that waits for a lock gets nothing more to do, as a client would not send it.
      if (link === undefined || busy.has(link)) continue
      busy.add(link)
      const answer = (what: string) => {
        busy.delete(link)
        answers.push(`${index} ${connection} ${action.kind}: ${what}`)
      }
      this.#run(link, action).then(answer, (error: unknown) => answer(stateOf(error)))
      await this.#side.calm()
      told.push(...answers.splice(0).sort())
      if (busy.has(link)) told.push(`${index} ${connection} ${action.kind} waits`)
    }
    // Those who wait are let go by the others.
    for (const links of [this.#side.links.filter((link) => !busy.has(link)), this.#side.links]) {
      const ended = Promise.all(links.map((link) => link.rollback()))
      await this.#side.calm()
      await ended
    }
    return [...told, ...answers.sort()]
  }

  async #run(link: Link, action: Action): Promise<string> {
    switch (action.kind) {
      case 'claim': {
        const arrays = [textArray(['from:orders']), textArray(['5']), textArray([null])]
        const { rows } = await link.query<{ version: string; next_offset: string }>(
          'select * from millrace.claim($1, $2, $3, $4, $5::text[], $6::bigint[], $7::text[])',
          ['app', 'orders', action.partition, action.owner, ...arrays],
        )
        const [row] = rows
        const known = this.#claims.get(action.partition) ?? []
        this.#claims.set(action.partition, [...known, { owner: action.owner, version: Number(row?.version) }])
        return `version ${row?.version}, at ${row?.next_offset}`
      }
      case 'fence': {
        const claim = this.#claims.get(action.partition)?.at(action.stale ? -2 : -1)
        if (claim === undefined) return 'nobody has claimed'
        const progress = [{ source: 'from:orders', nextOffset: action.nextOffset, fingerprint: 'x\\y' }]
        const task = { app: 'app', stream: 'orders', partition: action.partition }
        await link.begin(
          beginFenced({
            claim: { ...claim, task, progress: [], budget: null, halted: null, watermarks: null },
            progress,
            budget: null,
            halted: null,
          }),
        )
        this.#moved.set(link, claim)
        this.#inTransaction.add(link)
        return 'held'
      }
      case 'begin':
        await link.query('begin')
        this.#inTransaction.add(link)
        return 'begun'
      case 'commit': {
        const tag = await link.commit()
        const claim = this.#moved.get(link)
        this.#moved.delete(link)
        this.#inTransaction.delete(link)
        if (tag === 'COMMIT' && claim !== undefined) claim.version++
        return tag
      }
      case 'rollback':
        this.#moved.delete(link)
        this.#inTransaction.delete(link)
        await link.query('rollback')
        return 'rolled back'
      case 'savepoint':
        await link.query('savepoint probe')
        return 'set'
      case 'rollback to':
        await link.query('rollback to savepoint probe')
        return 'rolled back'
      case 'constraints':
        await link.query('set constraints all immediate')
        return 'looked at'
      case 'ledger':
        return copy(
          link,
          'ledger',
          ['id', 'amount', 'mark'],
          action.lines.map(({ id, amount, mark }) => [id, amount, mark]),
        )
      case 'children':
        return copy(
          link,
          'children',
          ['id', 'parent'],
          action.parents.map((parent, id) => [id, parent]),
        )
      case 'totals': {
        const columns = [action.accounts, ...Array.from({ length: 3 }, () => action.accounts.map(() => '1'))]
        return upsert(link, totals, columns)
      }
      case 'parents':
        return upsert(link, parents, [action.accounts])
      default:
        return this.#collector.run(link, action, this.#inTransaction.size === 0)
    }
  }
}

export async function play(side: Side, script: readonly Step[]): Promise<readonly string[]> {
  return new Player(side).play(script)
}

async function copy(
  link: Link,
  name: string,
  columns: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): Promise<string> {
  const lines = rows.map((cells) => `${cells.map((cell) => cell ?? '\\N').join('\t')}\n`)
  await link.copyIn(`copy ${name} (${columns.join(', ')}) from stdin`, [Buffer.from(lines.join(''))])
  return 'copied'
}

async function upsert(link: Link, statement: string, columns: readonly (readonly string[])[]): Promise<string> {
  await link.query(
    statement,
    columns.map((cells) => textArray(cells)),
  )
  return 'upserted'
}

function stateOf(error: unknown): string {
  if (!(error instanceof pg.DatabaseError)) return String(error)
  const [, line] = /^COPY .*?, line (\d+)/m.exec(error.where ?? '') ?? []
  return `${error.code}${line === undefined ? '' : ` in line ${line}`}`
}
