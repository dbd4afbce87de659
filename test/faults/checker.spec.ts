/** A checker that finds nothing is worth something only when it can find each thing: every law is broken here once. */
import { expect, test } from 'vitest'
import { check } from './checker.ts'
import { collectedFates, type Evidence, hasAudit, type LedgerRow, type SourceRecord } from './evidence.ts'
import { type Fate, recordOf } from './records.ts'

const partitions = 2

/** What is left behind by a run in which nothing went wrong. */
function sound(): Evidence {
  const ends = new Map<number, number>()
  const records = Array.from({ length: 2_000 }, (_, id): SourceRecord => {
    const { partition, key, headers } = recordOf(id, partitions, 1)
    const offset = ends.get(partition) ?? 0
    ends.set(partition, offset + 1)
    return { partition, offset, key: String(key), id, fate: headers?.fate as Fate, amount: Number(headers?.amount) }
  })
  const good = records.filter(({ fate }) => fate === 'good')
  const totals = new Map<string, { part: number; account: number; entries: number; amount: number }>()
  for (const { partition: part, id, amount } of good) {
    const account = id % 8
    const sum = totals.get(`${part} ${account}`) ?? { part, account, entries: 0, amount: 0 }
    totals.set(`${part} ${account}`, { ...sum, entries: sum.entries + 1, amount: sum.amount + amount })
  }
  return {
    records,
    rows: good.map(({ partition: part, offset: pos, key, id, amount }, seq) => ({ seq, id, part, pos, key, amount })),
    totals: [...totals.values()],
    audits: records.filter(hasAudit).map(sideRow),
    receipts: good.map(sideRow),
    collected: records.filter(({ fate }) => collectedFates.has(fate)),
    progress: new Map(ends),
    ends,
    moves: [
      { seq: 1, partition: 0, owner: 'a', version: 1, next: 0 },
      { seq: 2, partition: 0, owner: 'a', version: 2, next: 10 },
      { seq: 3, partition: 0, owner: 'b', version: 3, next: 10 },
      { seq: 4, partition: 0, owner: 'b', version: 4, next: ends.get(0) ?? 0 },
    ],
    snapshots: [300, 700].map((next) => snapshot(records, 0, next)),
    batches: [{ partition: 0, nextOffset: 10, items: 10, outcomes: { done: 9, collected: 1 } }],
    complaints: [],
  }
}

const sideRow = ({ partition: part, offset: pos }: SourceRecord) => ({ part, pos })

function snapshot(records: readonly SourceRecord[], partition: number, next: number) {
  const before = records.filter((record) => record.partition === partition && record.offset < next)
  const good = before.filter(({ fate }) => fate === 'good')
  return {
    partition,
    next,
    rows: good.length,
    highest: Math.max(...good.map(({ offset }) => offset)),
    entries: good.length,
    amount: good.reduce((sum, { amount }) => sum + amount, 0),
    collected: before.filter(({ fate }) => collectedFates.has(fate)).length,
    audits: before.filter(hasAudit).length,
    receipts: good.length,
  }
}

/** The laws that are found broken after a change. */
function broken(change: (evidence: Evidence) => Partial<Evidence>): string[] {
  const evidence = sound()
  return [...new Set(check({ ...evidence, ...change(evidence) }).map(({ law }) => law))]
}

const replace = <T>(list: readonly T[], index: number, change: (one: T) => T): T[] =>
  list.map((one, at) => (at === index ? change(one) : one))

function rowOf({ partition: part, offset: pos, key, id, amount }: SourceRecord): LedgerRow {
  return { seq: 1e6, id, part, pos, key, amount }
}

function recordOfFate({ records }: Evidence, wanted: Fate): SourceRecord {
  return records.find(({ fate }) => fate === wanted) as SourceRecord
}

test('a sound run holds records of every fate, and nothing is found', () => {
  const fates = new Set(sound().records.map(({ fate }) => fate))
  expect([...fates].sort()).toEqual(['good', 'ignored', 'malformed', 'refused', 'thrown'])
  expect(broken(() => ({}))).toEqual([])
})

test('a lost row', () => expect(broken(({ rows }) => ({ rows: rows.slice(1) }))).toEqual(['lost']))

test('a doubled row', () =>
  expect(broken(({ rows }) => ({ rows: [...rows, { ...(rows[0] as LedgerRow), seq: -1 }] }))).toEqual(['doubled']))

test('two rows that have changed places', () => {
  const swapped = (rows: readonly LedgerRow[]) => {
    const [first] = rows
    const later = rows.findIndex(({ part, key }, at) => at > 0 && part === first?.part && key === first?.key)
    const [a, b] = [rows[0] as LedgerRow, rows[later] as LedgerRow]
    return rows.map((row) => (row === a ? { ...a, seq: b.seq } : row === b ? { ...b, seq: a.seq } : row))
  }
  expect(broken(({ rows }) => ({ rows: swapped(rows) }))).toEqual(['order'])
})

test('rows whose contents have changed places', () => {
  const changed = (rows: readonly LedgerRow[]) => replace(rows, 0, (row) => ({ ...row, id: (rows[1] as LedgerRow).id }))
  expect(broken(({ rows }) => ({ rows: changed(rows) }))).toEqual(['changed'])
})

test('a row that no record made', () =>
  expect(broken(({ rows }) => ({ rows: [...rows, { ...(rows[0] as LedgerRow), seq: 1e6, pos: 1e6 }] }))).toEqual([
    'invented',
  ]))

test.each(['ignored', 'malformed', 'thrown', 'refused'] as const)('a row of an item that was undone: %s', (fate) => {
  const traced = (evidence: Evidence) => {
    const record = recordOfFate(evidence, fate)
    // Before all others of its key, so that its place is not what is found.
    return { rows: [{ ...rowOf(record), seq: -1, key: 'of its own' }, ...evidence.rows] }
  }
  expect(broken(traced)).toEqual(['trace'])
})

test('a row of an aborted record', () => {
  const aborted = (evidence: Evidence) => ({
    records: replace(evidence.records, evidence.records.length - 1, (record) => ({
      ...record,
      fate: 'aborted' as const,
    })),
  })
  expect(broken(aborted)).toContain('trace')
})

test('totals that are off by one entry, that are missing, and that nobody asked for', () => {
  expect(
    broken(({ totals }) => ({ totals: replace(totals, 0, (row) => ({ ...row, entries: row.entries + 1 })) })),
  ).toEqual(['totals'])
  expect(broken(({ totals }) => ({ totals: totals.slice(1) }))).toEqual(['totals'])
  expect(broken(({ totals }) => ({ totals: [...totals, { part: 9, account: 1, entries: 1, amount: 0 }] }))).toEqual([
    'totals',
  ])
})

test('an item that is missing in the collector, is there twice, or does not belong there', () => {
  expect(broken(({ collected }) => ({ collected: collected.slice(1) }))).toEqual(['lost'])
  expect(broken(({ collected }) => ({ collected: [...collected, ...collected.slice(0, 1)] }))).toEqual(['doubled'])
  expect(broken((evidence) => ({ collected: [...evidence.collected, recordOfFate(evidence, 'ignored')] }))).toEqual([
    'collected',
  ])
})

test.each(['audits', 'receipts'] as const)(
  'a row of a stream beside that is missing, doubled, or of an item that was undone: %s',
  (what) => {
    expect(broken((evidence) => ({ [what]: evidence[what].slice(1) }))).toEqual(['lost'])
    expect(broken((evidence) => ({ [what]: [...evidence[what], ...evidence[what].slice(0, 1)] }))).toEqual(['doubled'])
    const fallen = (evidence: Evidence) => sideRow(recordOfFate(evidence, 'malformed'))
    expect(broken((evidence) => ({ [what]: [...evidence[what], fallen(evidence)] }))).toEqual(['trace'])
  },
)

test('progress that stops early or runs ahead', () => {
  for (const step of [-1, 1]) {
    expect(broken(({ ends }) => ({ progress: new Map(ends).set(0, (ends.get(0) ?? 0) + step) }))).toEqual(['progress'])
  }
})

test('progress that goes back, for a reader and in the database', () => {
  expect(broken(({ snapshots }) => ({ snapshots: [...snapshots].reverse() }))).toEqual(['progress'])
  expect(broken(({ moves }) => ({ moves: replace(moves, 3, (move) => ({ ...move, next: 9 })) }))).toEqual(['progress'])
})

test('a commit of an owner that was replaced', () =>
  expect(
    broken(({ moves }) => ({ moves: [...moves, { seq: 5, partition: 0, owner: 'a', version: 5, next: 1e6 }] })),
  ).toContain('stale'))

test('a version that is left out', () =>
  expect(broken(({ moves }) => ({ moves: replace(moves, 3, (move) => ({ ...move, version: 5 })) }))).toEqual(['moves']))

test.each(['rows', 'entries', 'amount', 'collected', 'audits', 'receipts'] as const)(
  'a reader who saw one too many: %s',
  (what) => {
    const seen = ({ snapshots }: Evidence) => ({
      snapshots: replace(snapshots, 1, (one) => ({ ...one, [what]: one[what] + 1 })),
    })
    expect(broken(seen)).toEqual(['snapshot'])
  },
)

test('a reader who saw a row before its progress', () =>
  expect(
    broken(({ snapshots }) => ({ snapshots: replace(snapshots, 0, (one) => ({ ...one, highest: one.next })) })),
  ).toEqual(['snapshot']))

test('a batch whose outcomes do not add up, and one that is told of twice', () => {
  expect(broken(({ batches }) => ({ batches: replace(batches, 0, (batch) => ({ ...batch, items: 11 })) }))).toEqual([
    'outcomes',
  ])
  expect(broken(({ batches }) => ({ batches: [...batches, ...batches] }))).toEqual(['outcomes'])
})

test('a process that ended as it should not', () =>
  expect(broken(() => ({ complaints: ['ended with 1'] }))).toEqual(['process']))
