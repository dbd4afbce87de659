import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { millrace } from './_command.ts'

const file = fileURLToPath(new URL('../../examples/discount-sum/discountSum.ts', import.meta.url))
const payment = (currency: string) => JSON.stringify({ id: 'a', amount: 5, currency })
const run = (input: string, ...args: string[]) => millrace(['eval', file, ...args], {}, undefined, input)

test('prints what a step gives, writes and leaves in scopes, and that nothing was committed', async () => {
  const { code, out, err } = await run(`${payment('EUR')}\n`, '--step', 'process')
  expect([code, err]).toEqual([0, ''])
  expect(out).toBe(`stream "discount-sum", step "process": done
output  { id: 'a', amount: 5, currency: 'EUR' }
write   result_items { payment: 'a', total: 5 }
scope   context { total: 4.95, foreign: 0 }
stream  "count-foreign": filtered
Nothing was committed.
`)
})

test('tells why an item is ignored, and what it took back', async () => {
  const { out } = await run(payment('USD'), '--step', 'process', '--json')
  expect(JSON.parse(out)).toEqual({
    stream: 'discount-sum',
    step: 'process',
    output: [],
    outcome: 'ignored',
    reason: 'not in euros',
    scope: { item: {}, batch: {}, context: { foreign: 1, total: 0 } },
    streams: { 'count-foreign': 'done' },
    writes: [],
  })
})

test('shows an error with its stack', async () => {
  const { code, out } = await run('{', '--step', 'process')
  expect(code).toBe(0)
  expect(out).toContain('step "process": collected\n  ItemError: millrace: the value is not JSON')
})

test('runs what comes before the step, and nothing behind it', async () => {
  const { out } = await run(payment('EUR'), '--step', 'count-foreign/filter', '--json')
  expect(JSON.parse(out)).toMatchObject({ step: 'count-foreign/filter', output: [], writes: [] })
})

test('names the steps when there is none of that name', async () => {
  const { code, err } = await run('', '--step', 'proces')
  expect(code).toBe(2)
  expect(err).toContain('the plan has no step "proces"; did you mean "process"?')
})

test('refuses a place that is none', async () => {
  const { code, err } = await run('', '--step', 'process', '--at', 'payments')
  expect(code).toBe(2)
  expect(err).toContain('--at must be topic/partition/offset, such as flights/2/17, but is "payments"')
})
