import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { signal } from '../../src/core/signal.ts'
import { stream } from '../../src/stream.ts'
import { testDriver } from '../../src/testing/testDriver.ts'
import { numbers, outcomesOf } from '../operators/_cases.ts'

/** The gravest first: of several ways through a stream, this is what an item's outcome goes by. */
const deeds: readonly (readonly [outcome: string, deed: () => void])[] = [
  ['failed', () => signal.error('failed')],
  ['broken', () => signal.break()],
  ['ignored', () => signal.ignore()],
  [
    'collected',
    () => {
      throw new Error('collected')
    },
  ],
  ['done', () => {}],
  ['continued', () => signal.continue()],
]

const base = stream('s').from(numbers)
const dropped = base.filter(() => false)

async function outcomeOf(...leaves: (() => void)[]): Promise<string> {
  const t = testDriver([...leaves.map((deed) => base.tap(deed)), dropped])
  await t.sendAll(numbers, [0])
  const failed = await t.advanceBy(60_000).then(
    () => false,
    () => true,
  )
  return failed ? 'failed' : (outcomesOf(t)[0]?.slice(2) ?? 'broken')
}

describe('the outcome of an item with several leaves', () => {
  for (const [index, [graver, deed]] of deeds.entries()) {
    for (const [lighter, other] of deeds.slice(index)) {
      it(`is ${graver} where others are ${lighter}, whatever their order`, async () => {
        expect([await outcomeOf(deed, other), await outcomeOf(other, deed)]).toEqual([graver, graver])
      })
    }
  }

  it('is filtered where none reaches an end', async () => {
    expect(await outcomeOf()).toBe('filtered')
  })

  it('takes its rows out of those that are counted', async () => {
    const t = testDriver(
      base.to(table<{ n: number }>('out'), (n) => ({ n })).tap((n) => void (n > 2 && signal.ignore())),
    )
    await t.sendAll(numbers, [1, 2, 3, 4, 5])
    expect(t.commits()).toMatchObject([{ items: 5, rows: 2 }])
  })

  it('names the step of the leaf that counts', async () => {
    const t = testDriver([
      base
        .map((): number => {
          throw new Error('boom')
        })
        .named('first'),
      base.tap(() => {}).named('second'),
    ])
    await t.sendAll(numbers, [0])
    expect(t.errors()).toMatchObject([{ step: 'first' }])
  })
})
