import { describe, expect, test } from 'vitest'
import { type FlightRow, parseCsv, readAirports, readFlights } from '../../examples/flights/dataset.ts'

async function blocksOf(flights: AsyncIterable<FlightRow[]>): Promise<FlightRow[][]> {
  const blocks: FlightRow[][] = []
  for await (const block of flights) blocks.push(block)
  return blocks
}

describe('the flights', () => {
  test('come in the order of the file, with numbers for its integers', async () => {
    const blocks = await blocksOf(readFlights(5, 2))
    expect(blocks.map((block) => block.length)).toEqual([2, 2, 1])
    expect(blocks.flat()[0]).toEqual({
      date: new Date('2001-01-01T00:01:00Z'),
      delay: 33,
      distance: 2_176,
      origin: 'LAS',
      destination: 'PHL',
    })
  })

  test('go on past the end of a row group without a gap or a repeat', async () => {
    const aroundTheEnd = 272_727
    let [count, last, steps] = [0, 0, 0]
    for await (const block of readFlights(aroundTheEnd + 3)) {
      for (const { date } of block) {
        if (date.getTime() >= last) steps++
        last = date.getTime()
        count++
      }
    }
    expect({ count, inOrder: steps === count }).toEqual({ count: aroundTheEnd + 3, inOrder: true })
  })

  test('are none when none are wanted', async () => {
    expect(await blocksOf(readFlights(0))).toEqual([])
  })
})

test('the airports are known by their code', async () => {
  const airports = await readAirports()
  expect(airports.size).toBe(3_376)
  expect(airports.get('LAX')).toEqual({
    iata: 'LAX',
    name: 'Los Angeles International',
    city: 'Los Angeles',
    state: 'CA',
  })
  expect(airports.get('DBN')?.name).toBe('W. H. "Bud" Barron')
})

test('CSV fields in quotes may hold commas and quotes, and any field may be empty', () => {
  expect(parseCsv('a,b,c\n1,"2,""x""",3\n,,\r\n')).toEqual([
    ['a', 'b', 'c'],
    ['1', '2,"x"', '3'],
    ['', '', ''],
  ])
})
