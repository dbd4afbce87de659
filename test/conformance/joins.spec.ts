import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { json, stream, table, topic } from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'

type Output = [afterInput: number, key: string, value: string, time: number]

interface Case {
  readonly id: string
  readonly op: string
  readonly params: Readonly<Record<string, number>>
  readonly input: readonly [side: 'left' | 'right', key: string, value: string, time: number][]
  readonly output: readonly Output[]
}

const file = new URL('../fixtures/windows.json', import.meta.url)
const cases = (JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] }).cases

interface Sent {
  readonly key: string
  readonly value: string
  readonly time: number
}

const topics = { left: topic('left', json<Sent>()), right: topic('right', json<Sent>()) }
const results = table<{ key: string; value: string; time: number }>('results')

function planOf({ op, params }: Case) {
  const difference = { milliseconds: params.difference_ms ?? 0 }
  const after = params.after_ms === undefined ? difference : { milliseconds: params.after_ms }
  const join = op === 'inner_join' ? 'inner' : op === 'left_join' ? 'left' : 'outer'
  const keyed = (side: 'left' | 'right') =>
    stream(side)
      .from(topics[side])
      .keyBy(({ key }) => key, { sameKey: true })
  return keyed('left')
    .joinWithin(
      keyed('right'),
      { before: difference, after, grace: { milliseconds: params.grace_ms ?? 0 }, join: join as 'outer' },
      (left, right) => ({
        key: left?.key ?? right?.key ?? '',
        value: `${left?.value ?? 'null'}+${right?.value ?? 'null'}`,
        time: Math.max(left?.time ?? 0, right?.time ?? 0),
      }),
    )
    .to(results)
}

const shown = ([after, key, value, time]: Output) => `${after}: ${key} ${value} at ${time}`

describe.each(cases.filter(({ op }) => op.endsWith('_join')))('$id', (one) => {
  test('gives what was recorded', async () => {
    const t = testDriver(planOf(one))
    const given: string[] = []
    for (const [after, [side, key, value, time]] of one.input.entries()) {
      await t.send(topics[side], { key, value, time }, { key, timestamp: new Date(time) })
      const rows = t.rows(results).slice(given.length)
      for (const row of rows) given.push(shown([after, row.key, row.value, row.time]))
    }
    expect(given).toEqual(one.output.map(shown))
  })
})
