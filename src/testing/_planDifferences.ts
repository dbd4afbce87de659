/** Where two runs of a plan differ, told in lines. */
import { differences, textOf } from './_differences.ts'
import { isTopic, type PlacedRecord } from './_place.ts'
import type { Ended, Remains } from './_scene.ts'
import { placed, type Sample } from './_story.ts'

/** What one run left and the other did not, or where they differ first. */
export function differenceBetween(seen: Remains, expected: Remains): string[] | undefined {
  const rows = rowDifferences(seen.rows, expected.rows)
  if (rows !== undefined) return rows
  // Where the item stands is part of the message, and not the same in a run without the others.
  const told = ({ errors }: Remains) =>
    errors.map(({ record, step, message }) => {
      const [what = ''] = message.split('\n')
      return { record: numberOf(record), step, error: what.replace(/\[\d+\]@\d+/g, '') }
    })
  const errors = differences(told(seen), told(expected))
  if (errors !== undefined) return ['The error collector differs:', ...errors]
  return outcomeDifference(seen, expected)
}

export function rowDifferences(
  seen: Readonly<Record<string, readonly unknown[]>>,
  expected: Readonly<Record<string, readonly unknown[]>>,
): string[] | undefined {
  for (const place of new Set([...Object.keys(seen), ...Object.keys(expected)])) {
    const lines = differences(seen[place] ?? [], expected[place] ?? [])
    if (lines !== undefined) return [`The ${isTopic(place) ? 'records' : 'rows'} of ${place} differ:`, ...lines]
  }
  return undefined
}

/** Of an item whose process died over the answer to its commit, the outcome is not known; but none has two. */
function outcomeDifference(seen: Remains, expected: Remains): string[] | undefined {
  const idOf = ({ stream, record }: Ended) => `${stream}/${numberOf(record)}`
  const known = new Map(expected.ended.map((ended) => [idOf(ended), ended.outcome]))
  const met = new Set<string>()
  for (const ended of seen.ended) {
    const id = idOf(ended)
    const what = `Record ${numberOf(ended.record)}`
    if (met.has(id)) return [`${what} was committed twice by stream "${ended.stream}".`]
    met.add(id)
    const outcome = known.get(id)
    if (outcome !== ended.outcome) return [`${what} is ${ended.outcome}; it has to be ${outcome ?? 'absent'}.`]
  }
  return undefined
}

const numbers = new WeakMap<PlacedRecord, number>()

/** The records, which are told by their numbers from now on. */
export function numbered(samples: readonly Sample[], partitions: number): PlacedRecord[] {
  return samples.map((sample, index) => {
    const record = placed(sample, partitions)
    numbers.set(record, index + 1)
    return record
  })
}

function numberOf(record: PlacedRecord | undefined): number | undefined {
  return record === undefined ? undefined : numbers.get(record)
}

export function byTableAndKey(remains: Remains): Map<string, { title: string; rows: object[] }> {
  const lists = new Map<string, { title: string; rows: object[] }>()
  for (const { place, partition, row, record } of remains.written) {
    const key = record?.key
    if (record === undefined || key == null) continue
    // Those in different partitions of a topic have no order.
    const id = textOf([place, partition, record.topic, key])
    const what = isTopic(place) ? 'records' : 'rows'
    const title = `The ${what} that key ${JSON.stringify(key.toString())} gives in ${place} come in another order`
    const list = lists.get(id) ?? { title, rows: [] }
    list.rows.push(row)
    lists.set(id, list)
  }
  return lists
}

export function writtenBy(remains: Remains, owned: (record: PlacedRecord) => boolean): object[] {
  return remains.written
    .filter(({ record }) => record !== undefined && owned(record))
    .map(({ place, row }) => ({ place, row }))
}
