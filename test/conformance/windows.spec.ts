import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  type Aggregator,
  count,
  hopping,
  json,
  type Stream,
  session,
  sliding,
  stream,
  table,
  topic,
  tumbling,
  type WindowSpec,
} from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'

type Output = [afterInput: number, key: string, start: number, end: number, value: string, time: number]

interface Case {
  readonly id: string
  readonly op: string
  readonly params: Readonly<Record<string, number | string | boolean>>
  readonly input: readonly [key: string, value: string, time: number][]
  readonly output: readonly Output[]
  readonly dropped: number
  readonly suppressed?: readonly Output[]
}

const file = new URL('../fixtures/windows.json', import.meta.url)
const cases = (JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] }).cases

interface Given {
  readonly after: number
  readonly key: string
  readonly start: number
  readonly end: number
  readonly value: string
}

const values = topic('values', json<{ key: string; value: string; time: number }>())
const results = table<Omit<Given, 'after'>>('results')

const concat: Aggregator<{ value: string }, string, string> = {
  kind: 'concat',
  init: () => '',
  add: (all, { value }) => (all === '' ? value : `${all}+${value}`),
  merge: (earlier, later) => `${earlier}+${later}`,
  result: (all) => all,
}

function windowsOf({ op, params }: Case): WindowSpec {
  const ms = (name: string) => ({ milliseconds: Number(params[name]) })
  switch (op) {
    case 'tumbling_window':
      return tumbling(ms('size_ms'))
    case 'hopping_window':
      return hopping(ms('size_ms'), { every: ms('advance_ms') })
    case 'sliding_window':
      return sliding(ms('time_difference_ms'))
    case 'session_window':
      return session(ms('gap_ms'))
    default:
      throw new Error(op)
  }
}

/** Ends of these are included, as they were recorded. */
const includesEnd = ({ op }: Case) => op === 'sliding_window' || op === 'session_window'

function planOf(one: Case, emit: 'close' | 'update'): Stream<unknown> {
  const windowed = stream('s')
    .from(values)
    .keyBy(({ key }) => key, { sameKey: true })
    .window(windowsOf(one), {
      time: ({ time }) => time,
      grace: { milliseconds: Number(one.params.grace_ms) },
      emit,
    })
  const toRow = (key: string, window: { start: Date; end: Date }, value: string) => {
    const end = window.end.getTime() - (includesEnd(one) ? 1 : 0)
    return { key, start: window.start.getTime(), end, value }
  }
  const aggregated =
    one.params.aggregate === 'count'
      ? windowed.aggregate({ value: count() })
      : windowed.aggregate({ value: concat as Aggregator<{ value: string }, string, string | number> })
  return aggregated.to(results, ({ key, window, value }) => toRow(key, window, String(value)))
}

/** Rows, each with the input after which it came, and how many were dropped. */
async function run(one: Case, emit: 'close' | 'update'): Promise<{ given: Given[]; dropped: number }> {
  const t = testDriver(planOf(one, emit))
  const given: Given[] = []
  for (const [after, [key, value, time]] of one.input.entries()) {
    await t.send(values, { key, value, time }, { key })
    for (const row of t.rows(results).slice(given.length)) given.push({ after, ...row })
  }
  return { given, dropped: t.commits().reduce((sum, { late }) => sum + late, 0) }
}

async function runAtOnce(one: Case, emit: 'close' | 'update'): Promise<string[]> {
  const t = testDriver(planOf(one, emit))
  const records = one.input.map(([key, value, time]) => ({ key, value, time }))
  await t.sendAll(values, records, ({ key }) => ({ key }))
  return t.rows(results).map(({ key, start, end, value }) => `${key} ${start}-${end} ${value}`)
}

const textOf = (outputs: readonly Output[]) =>
  outputs.map(([after, key, start, end, value]) => `${after}: ${key} ${start}-${end} ${value}`)
const textOfGiven = (rows: readonly Given[]) =>
  rows.map(({ after, key, start, end, value }) => `${after}: ${key} ${start}-${end} ${value}`)

describe.each(cases.filter(({ op }) => op.endsWith('_window')))('$id', (one) => {
  const emit = one.params.emit === 'final' ? 'close' : 'update'
  test('gives what was recorded', async () => {
    const { given, dropped } = await run(one, emit)
    expect(textOfGiven(given)).toEqual(textOf(one.output))
    expect(dropped).toBe(one.dropped)
  })
  test('gives the same when all comes in one batch', async () => {
    expect(await runAtOnce(one, emit)).toEqual(textOf(one.output).map((text) => text.replace(/^\d+: /, '')))
  })
  if (one.suppressed === undefined) return
  test('gives each window once when it closes', async () => {
    expect(textOfGiven((await run(one, 'close')).given)).toEqual(textOf(one.suppressed ?? []))
  })
})
