import { expect, test } from 'vitest'
import { brokenCount, brokenPositions, expectedFates } from '../../examples/flights/broken.ts'
import { flightTopic } from '../../examples/flights/flights.ts'
import { loadMemory } from '../../examples/flights/load.ts'
import { type FlightRecord, flightRecords, type PlacedRecord, recordCount } from '../../examples/flights/records.ts'
import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'

const { codec } = flightTopic

/** Read once: the file gives its rows a quarter of a million at a time. */
const records500 = recordsOf(500)

async function recordsOf(limit: number) {
  const placed: PlacedRecord[] = []
  const records: FlightRecord[] = []
  for await (const block of flightRecords(
    limit,
    (flight) => codec.encode(flight),
    (one) => placed.push(one),
  )) {
    records.push(...block)
  }
  return { records, placed }
}

test('broken records stand among the flights, each in the partition of the flight before it', async () => {
  const { records, placed } = await records500
  expect(records).toHaveLength(recordCount(500))
  expect(placed).toHaveLength(brokenCount)
  for (const [index, position] of brokenPositions(500).entries()) {
    const at = position + index + 1
    expect(records[at]?.value).toBe(placed[index]?.value)
    expect(records[at]?.key).toBe(records[at - 1]?.key)
  }
})

test('the same limit gives the same records', async () => {
  expect(await recordsOf(500)).toEqual(await records500)
})

test('no two broken records have the same bytes, or the demo could not tell them apart', async () => {
  const { placed } = await records500
  const bytes = placed.map(({ value }) => value?.toString('hex'))
  expect(new Set(bytes).size).toBe(placed.length)
})

test('flights and broken records that are only wrong in what they say can be decoded, the others cannot', async () => {
  const { records, placed } = await records500
  const decodes = (value: Buffer | null) => {
    if (value === null) return true
    try {
      codec.decode(value, 0, value.length)
      return true
    } catch {
      return false
    }
  }
  const undecodable = placed.filter(({ value }) => !decodes(value)).map(({ name }) => name)
  expect(undecodable).toEqual([
    'truncated Avro',
    'unknown schema id',
    'JSON in place of Avro',
    'empty value',
    'text of 2 GB, it says',
    'date in no calendar',
  ])
  const good = records.filter(({ value }) => !placed.some((broken) => broken.value === value))
  expect(good.filter(({ value }) => !decodes(value))).toEqual([])
})

test('fates add up to the broken records', () => {
  const { collected, ignored, skipped } = expectedFates()
  expect(collected + ignored + skipped).toBe(brokenCount)
})

test('a broker in memory gets every record, and all of one key in one partition', async () => {
  const broker = createMemoryBroker()
  const { records } = await records500
  const taken: { key: string; partition: number }[] = []
  const told: number[] = []
  await loadMemory(
    {
      createTopic: (name, partitions) => broker.createTopic(name, partitions),
      append: (topic, partition, record) => {
        taken.push({ key: record.key.toString(), partition })
        return broker.append(topic, partition, record)
      },
    },
    flightRecords(500, (flight) => codec.encode(flight)),
    (count) => told.push(count),
  )
  expect(taken.map(({ key }) => key)).toEqual(records.map(({ key }) => key))
  expect(told.at(-1)).toBe(records.length)
  const partitions = new Map<string, number>()
  for (const { key, partition } of taken) {
    expect(partitions.get(key) ?? partition).toBe(partition)
    partitions.set(key, partition)
  }
  expect(new Set(partitions.values())).toEqual(new Set([0, 1, 2, 3]))
})
