/** A reader that looks at the database every 50 ms while services write to it and are struck. */
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { SceneDatabase } from './database.ts'
import type { Snapshot } from './evidence.ts'

const everyMs = 50

/** One statement, and so one snapshot, of all that has to agree. */
const look = `
  select p.partition, p.next_offset::float8 as next, coalesce(l.rows, 0)::float8 as rows,
    coalesce(l.highest, -1)::float8 as highest, coalesce(t.entries, 0)::float8 as entries,
    coalesce(t.amount, 0)::float8 as amount, coalesce(e.collected, 0)::float8 as collected,
    coalesce(a.audits, 0)::float8 as audits, coalesce(r.receipts, 0)::float8 as receipts
  from millrace.progress p
  left join (select part, count(*) as rows, max(pos) as highest from ledger group by part) l on l.part = p.partition
  left join (select part, sum(entries) as entries, sum(amount) as amount from totals group by part) t on t.part = p.partition
  left join (select partition, count(*) as collected from millrace.errors group by partition) e on e.partition = p.partition
  left join (select part, count(*) as audits from audits group by part) a on a.part = p.partition
  left join (select part, count(*) as receipts from receipts group by part) r on r.part = p.partition`

export class Watcher {
  readonly snapshots: Snapshot[] = []
  readonly #database: SceneDatabase
  readonly #latest = new Map<number, Snapshot>()
  readonly #looking: Promise<void>
  #client: pg.Client | undefined
  #stopped = false
  #looks = 0

  constructor(database: SceneDatabase) {
    this.#database = database
    this.#looking = this.#look()
  }

  get looks(): number {
    return this.#looks
  }

  /** Next offsets by partition, as last seen. */
  get positions(): ReadonlyMap<number, number> {
    return new Map([...this.#latest.values()].map(({ partition, next }) => [partition, next]))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#looking
  }

  async #look(): Promise<void> {
    while (!this.#stopped) {
      try {
        this.#client ??= await this.#database.connect()
        const { rows } = await this.#client.query<Snapshot>(look)
        for (const row of rows) this.#note(row)
        this.#looks++
      } catch {
        // The server is away, which is what some faults are.
        void this.#client?.end().catch(() => undefined)
        this.#client = undefined
      }
      await sleep(everyMs)
    }
    await this.#client?.end()
  }

  /** Most looks see most partitions as they were. */
  #note(row: Snapshot): void {
    const before = this.#latest.get(row.partition)
    this.#latest.set(row.partition, row)
    if (before === undefined || keys.some((key) => before[key] !== row[key])) this.snapshots.push(row)
  }
}

const keys = ['next', 'rows', 'highest', 'entries', 'amount', 'collected', 'audits', 'receipts'] as const
