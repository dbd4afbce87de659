import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AbortedTransaction } from '../../../src/kafka/records/abortedTransactions.ts'
import { decodeAll, fetched, TRANSACTIONAL, writeBatch, writeMarker } from './_batches.ts'

const PRODUCERS = 4

/** One thing that a producer does: records inside its transaction or outside of one, or the end of its transaction. */
const step = fc.record({
  producer: fc.nat(PRODUCERS - 1),
  kind: fc.constantFrom('send', 'send', 'send', 'plain', 'abort', 'commit'),
  count: fc.integer({ min: 1, max: 3 }),
  markerKey: fc.boolean(),
})
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

interface Written {
  readonly bytes: Buffer
  readonly offset: number
  readonly count: number
  readonly producer: number
  /** Decided when the transaction ends. */
  fate: 'kept' | 'dropped' | 'marker' | 'open'
}

interface Log {
  readonly written: readonly Written[]
  /** In the order of the aborts, with the offset of the marker. */
  readonly aborted: readonly (AbortedTransaction & { readonly end: number })[]
}

/** Plays the steps as a broker would write them, and ends what is open then: brokers show no open transaction. */
function play(steps: readonly Step[]): Log {
  const endings = Array.from(
    { length: PRODUCERS },
    (_, producer): Step => ({ producer, kind: producer % 2 ? 'abort' : 'commit', count: 1, markerKey: false }),
  )
  const written: Written[] = []
  const aborted: (AbortedTransaction & { end: number })[] = []
  const open = new Map<number, Written[]>()
  let offset = 0
  for (const { producer, kind, count, markerKey } of [...steps, ...endings]) {
    const producerId = BigInt(producer)
    if (kind === 'abort' || kind === 'commit') {
      const batches = open.get(producer) ?? []
      for (const batch of batches) batch.fate = kind === 'abort' ? 'dropped' : 'kept'
      const [first] = batches
      if (kind === 'abort' && first !== undefined) aborted.push({ producerId, firstOffset: first.offset, end: offset })
      open.delete(producer)
      written.push({ bytes: writeMarker(offset, producerId, kind), offset, count: 1, producer, fate: 'marker' })
      offset += 1
      continue
    }
    const records = Array.from({ length: count }, (_, i) => ({
      offsetDelta: i,
      key: markerKey ? Buffer.alloc(4) : null,
      value: Buffer.from('v'),
    }))
    const attributes = kind === 'send' ? TRANSACTIONAL : 0
    const bytes = writeBatch({ baseOffset: offset, records, attributes, producerId })
    const batch: Written = { bytes, offset, count, producer, fate: kind === 'plain' ? 'kept' : 'open' }
    if (kind === 'send') open.set(producer, [...(open.get(producer) ?? []), batch])
    written.push(batch)
    offset += count
  }
  return { written, aborted }
}

test('what was aborted is dropped and nothing else, however transactions overlap and in whatever order they are listed', async () => {
  let dropped = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40, size: 'max' }),
      fc.nat(),
      fc.nat(),
      fc.infiniteStream(fc.nat()),
      async (steps, startSeed, endSeed, shuffle) => {
        const { written, aborted } = play(steps)
        const start = written[startSeed % Math.max(1, written.length)]
        const fetchedOffset = start === undefined ? 0 : start.offset + (startSeed % start.count)
        const rest = written.filter((batch) => batch.offset + batch.count > fetchedOffset)
        const fetchedBatches = rest.slice(0, endSeed % 2 ? rest.length : endSeed % (rest.length + 1))
        const last = fetchedBatches.at(-1)
        // A broker lists the transactions that reach into what was asked for.
        const listed = aborted
          .filter(({ firstOffset, end }) => end >= fetchedOffset && firstOffset <= (last?.offset ?? -1))
          .map((transaction) => ({ transaction, rank: shuffle.next().value as number }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ transaction }) => transaction)
        const { records, chunks, thrown } = await decodeAll(
          fetched(Buffer.concat(fetchedBatches.map(({ bytes }) => bytes)), { fetchedOffset, aborted: listed }),
        )
        expect(thrown).toBeUndefined()
        const kept = fetchedBatches
          .filter(({ fate }) => fate === 'kept')
          .flatMap(({ offset, count }) => Array.from({ length: count }, (_, i) => offset + i))
          .filter((offset) => offset >= fetchedOffset)
        expect(records.map(({ offset }) => offset)).toEqual(kept)
        expect(chunks.at(-1)?.nextOffset).toBe(last && last.offset + last.count)
        dropped += fetchedBatches.filter(({ fate }) => fate === 'dropped').length
      },
    ),
    { numRuns: 500 },
  )
  expect(dropped).toBeGreaterThan(200)
})

test('without a list every record is handed over, and no marker is', async () => {
  const { written } = play([
    { producer: 1, kind: 'send', count: 2, markerKey: true },
    { producer: 1, kind: 'abort', count: 1, markerKey: false },
  ])
  const { records } = await decodeAll(fetched(Buffer.concat(written.map(({ bytes }) => bytes))))
  expect(records.map(({ offset }) => offset)).toEqual([0, 1])
})

test('only an abort marker ends an aborted transaction, as in the Java client', async () => {
  const sent = (baseOffset: number) =>
    writeBatch({ baseOffset, records: [{ offsetDelta: 0 }], attributes: TRANSACTIONAL, producerId: 1n })
  const bytes = Buffer.concat([sent(0), writeMarker(1, 1n, 'commit'), sent(2), writeMarker(3, 1n, 'abort'), sent(4)])
  const { records } = await decodeAll(fetched(bytes, { aborted: [{ producerId: 1n, firstOffset: 0 }] }))
  expect(records.map(({ offset }) => offset)).toEqual([4])
})
