import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { signal } from '../../src/core/signal.ts'
import { type Stream, stream } from '../../src/stream.ts'
import { check, records } from '../../src/testing/index.ts'
import { topic } from '../../src/topic.ts'

interface Payment {
  readonly account: string
  readonly cents: number
}

const payments = topic('payments', json<Payment>())
const ledger = table<Payment>('ledger')
const totals = table<{ account: string; cents: number }>('totals', { key: 'account', onConflict: { cents: 'add' } })
const base: Stream<Payment> = stream('payments').from(payments)

const input = records(
  payments,
  fc.record({ account: fc.constantFrom('a', 'b', 'c'), cents: fc.integer({ min: 0, max: 9 }) }),
  ({ account }) => account,
)
const runs = { input, numRuns: 60, seed: 7 }

/** Ten steps: filters, signals, asynchronous calls, two sinks. */
const tenSteps = base
  .filter(({ cents }) => cents !== 1)
  .map((payment) => ({ ...payment, cents: payment.cents * 10 }))
  .tap(({ cents }) => void (cents === 20 && signal.ignore('twenty')))
  .flatMap((payment) => (payment.cents === 30 ? [payment, payment] : [payment]))
  .mapAsync(async (payment) => ({ ...payment, cents: payment.cents + 1 }))
  .tap(({ cents }) => {
    if (cents === 41) throw new Error('forty-one')
  })
  .map((payment) => ({ ...payment, cents: payment.cents - 1 }))
  .to(ledger)
  .to(totals)

const failure = async (run: Promise<void>): Promise<string> =>
  run.then(
    () => 'it passed',
    (error: Error) => error.message,
  )

describe('check', () => {
  test('passes a plan whose rows depend on its records alone', async () => {
    await check(tenSteps, runs)
  })

  test('compares with a model', async () => {
    const doubled = base.map(({ account, cents }) => ({ account, cents: cents * 2 })).to(ledger)
    const model = (factor: number) => (given: readonly { readonly value: unknown }[]) => ({
      ledger: given.map(({ value }) => ({ ...(value as Payment), cents: (value as Payment).cents * factor })),
    })
    await check(doubled, { ...runs, model: model(2) })
    const message = await failure(check(doubled, { ...runs, model: model(3) }))
    expect(message).toContain('law broken: the rows are those of the model')
  })

  test('finds state that is kept outside of the stream, and tells the shortest story that shows it', async () => {
    const seen = new Set<string>()
    const once = base.filter(({ account }) => !seen.has(account) && seen.add(account) !== undefined).to(ledger)
    const message = await failure(check(once, runs))
    expect(message).toContain('law broken: the rows are those of a run that nothing disturbs')
    expect(message).toMatch(/again with {"seed":7,"path":"check\//)
  })

  test('finds rows that depend on where batches are cut', async () => {
    const groups = table<{ size: number }>('groups')
    const counted = base
      .batch({ max: 3 })
      .map((group) => ({ size: group.length }))
      .to(groups)
    const message = await failure(check(counted, runs))
    expect(message).toContain('records in 1 partitions')
    expect(message).toContain('the rest arrives, and the plan comes to its end')
  })

  test('says what a plan stops with', async () => {
    const failing = base.tap(() => signal.error(new Error('no use'))).to(ledger)
    expect(await failure(check(failing, runs))).toContain('no use')
  })

  test('repeats a failure by its seed and path', async () => {
    const groups = table<{ size: number }>('groups')
    const counted = base
      .batch({ max: 3 })
      .map((group) => ({ size: group.length }))
      .to(groups)
    const message = await failure(check(counted, runs))
    const again = JSON.parse(/again with (.*)/.exec(message)?.[1] ?? '{}') as { seed: number; path: string }
    const repeated = await failure(check(counted, { input, ...again }))
    expect(repeated.split('\n').slice(0, -1)).toEqual(message.split('\n').slice(0, -1))
  })
})
