/** Stories in which something went wrong once: a line for each defect that random ones have found. */
import { expect, test } from 'vitest'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { stream } from '../../src/stream.ts'
import { placeOf } from '../../src/testing/_place.ts'
import { type Cut, type Happening, Scene } from '../../src/testing/_scene.ts'
import { topic } from '../../src/topic.ts'

const numbers = topic('numbers', json<number>())
const out = table<{ n: number }>('out')
const plan = stream('s')
  .from(numbers)
  .mapAsync(async (n) => ({ n }))
  .to(out)

interface Story extends Partial<Cut> {
  readonly name: string
  readonly records: number
  readonly happenings: readonly Happening[]
}

const stories: readonly Story[] = [
  {
    // The task of the frozen process claimed after its heir; killed, it was no member whose end makes others join again.
    name: 'a process that the group has dropped claims after its heir, and dies',
    records: 1,
    happenings: [
      { kind: 'lose database' },
      { kind: 'arrive', count: 1 },
      { kind: 'kill at commit', after: false },
      { kind: 'freeze' },
    ],
  },
]

test.each(stories)('$name', async ({ name: _name, records, happenings, ...cut }) => {
  const scene = new Scene(plan, { partitions: 1, chunk: 1, maxItems: 1, ...cut }, {})
  const placed = Array.from({ length: records }, (_, n) => ({
    topic: numbers.name,
    partition: n % (cut.partitions ?? 1),
    value: Buffer.from(String(n)),
  }))
  const { rows } = await scene.play(placed, happenings)
  expect(rows[placeOf(out)]?.map(({ n }) => n).sort()).toEqual(placed.map((_, n) => n))
})

test('a group that holds one item twice is refused by the database, and the item falls', async () => {
  const twice = stream('s')
    .from(numbers)
    .flatMap((n) => [n, n])
    .batch({ max: 4 })
    .flatten()
    .to(out, (n) => ({ n }))
  const refuses = (_table: string, row: object) => ((row as { n: number }).n === 1 ? '23514' : undefined)
  const scene = new Scene(twice, { partitions: 1, chunk: 10, maxItems: 10 }, { refuses })
  const placed = [0, 1, 2].map((n) => ({ topic: numbers.name, partition: 0, value: Buffer.from(String(n)) }))
  const { rows, errors } = await scene.play(placed, [])
  expect(rows[placeOf(out)]).toEqual([{ n: 0 }, { n: 0 }, { n: 2 }, { n: 2 }])
  expect(errors.map(({ item }) => item)).toEqual(['numbers[0]@1'])
})
