import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defineOperator, type SyncOperator } from '../../src/core/operator.ts'
import { slot } from '../../src/core/slot.ts'
import { assertOperatorLaws, type OperatorLawOptions } from '../../src/testing/index.ts'

/** The error that the laws raise about an operator. */
async function complaint<T>(
  operator: SyncOperator<number, T>,
  options: OperatorLawOptions & { behind?: boolean } = {},
): Promise<string> {
  const error = await assertOperatorLaws((values) => values.via(operator), fc.nat(7), { seed: 1, ...options }).then(
    () => new Error('the laws hold'),
    (thrown: unknown) => thrown,
  )
  return error instanceof Error ? error.message : String(error)
}

const operator = <Out>(attach: SyncOperator<number, Out>['attach']) =>
  defineOperator<number, Out>({ kind: 'broken', paths: 'many', attach })

describe('assertOperatorLaws names the law that an operator breaks:', { timeout: 60_000 }, () => {
  it('output that depends on what ran before', async () => {
    let calls = 0
    const counting = operator((next) => (value, item) => next(value + calls++, item))
    expect(await complaint(counting)).toContain('law broken: the same input twice gives the same output')
  })

  it('state that outlives a chunk', async () => {
    const adding = operator((next, step) => {
      let sum = 0
      step.onFlush({ flush: () => {}, deadline: () => undefined, reset: () => (sum = 0) })
      return (value, item) => {
        sum += value
        next(sum, item)
      }
    })
    expect(await complaint(adding)).toContain('law broken: any split into chunks and batches gives the same values')
  })

  it('state that an undone item leaves behind', async () => {
    const last = operator<number>((next) => {
      let before = 0
      return (value, item) => {
        const given = before
        before = value
        next(given, item)
      }
    })
    expect(await complaint(last, { groups: true })).toContain(
      'law broken: an item that is undone leaves no trace in others',
    )
  })

  it('items that are held without being joined', async () => {
    const pairs = operator<number[]>((next, step) => {
      let held: { value: number; item: number } | undefined
      step.onFlush({
        flush: () => held !== undefined && step.group(next, [held.value], [held.item], 'flush'),
        deadline: () => undefined,
        reset: () => (held = undefined),
      })
      return (value, item) => {
        if (held === undefined) held = { value, item }
        else {
          const { value: first, item: owner } = held
          held = undefined
          step.group(next, [first, value], [owner, item], 'size')
        }
      }
    })
    expect(await complaint(pairs, { groups: true })).toMatch(
      /law broken: (nothing of an undone item|an item that is undone)/,
    )
  })

  it("a value that is handed on in another item's name", async () => {
    const late = operator((next, step) => {
      let held: number | undefined
      step.onFlush({ flush: () => {}, deadline: () => undefined, reset: () => (held = undefined) })
      return (value, item) => {
        if (held !== undefined) next(held, item)
        held = value
      }
    })
    expect(await complaint(late)).toMatch(/^law broken: /)
  })

  it('values that come out in another order', async () => {
    const stack = operator<number>((next, step) => {
      const held: { value: number; item: number }[] = []
      step.onFlush({
        flush() {
          for (const { value, item } of held.splice(0).reverse())
            step.group((values, owner) => next(values[0] ?? 0, owner), [value], [item], 'flush')
        },
        deadline: () => undefined,
        reset: () => held.splice(0),
      })
      return (value, item) => {
        step.join(item)
        held.push({ value, item })
      }
    })
    expect(await complaint(stack)).toContain('law broken: values come out in the order of their partition')
  })

  it('a throw that the operator catches itself', async () => {
    const catching = operator<number>((next) => (value, item) => {
      try {
        next(value, item)
      } catch {}
    })
    expect(await complaint(catching)).toContain('law broken: what is thrown behind an operator goes through it')
  })

  it('values that come in and are changed', async () => {
    const changing = defineOperator<{ n: number }, { n: number }>({
      kind: 'changing',
      attach: (next) => (value, item) => {
        value.n++
        next(value, item)
      },
    })
    await expect(assertOperatorLaws((values) => values.via(changing), fc.record({ n: fc.nat(3) }))).rejects.toThrow(
      /law broken: values that come in are not changed\nwith one item in one partition.*:\n {2}1\. \{ n: 0 \}\n/,
    )
  })
})

describe('assertOperatorLaws', { timeout: 60_000 }, () => {
  it('shows the shortest input, and how to repeat it', async () => {
    const seven = operator<number>((next) => {
      let seen = 0
      return (value, item) => next(value === 7 ? seen++ : value, item)
    })
    const message = await complaint(seven, { groups: true, numRuns: 400 })
    expect(message).toMatch(
      /^law broken: an item that is undone leaves no trace in others\nwith 2 items in one partition.*:\n {2}1\. 7 {2}← .*\n {2}2\. 7\n {2}missing: \{ item: 2, value: 0 \}\n {2}unexpected: \{ item: 2, value: 1 \}\n/,
    )
    const [, replay = ''] = /replay: '(.*)'/.exec(message) ?? []
    expect(message).toContain('Run it again with: await assertOperatorLaws(build, values, { ...options, replay: ')
    const repeated = await complaint(seven, { groups: true, replay })
    expect(repeated.split('\n').slice(0, 6)).toEqual(message.split('\n').slice(0, 6))
  })

  it('takes any values that can be cloned', async () => {
    const values = fc.anything({ withMap: true, withSet: true, withBigInt: true, withTypedArray: true })
    await assertOperatorLaws((all) => all.filter((value) => value !== undefined), values, { numRuns: 30 })
  })

  it('holds for operators that use the scope of their item', async () => {
    const seen = slot('seen', () => 0)
    await assertOperatorLaws(
      (values) =>
        values.tap((n, ctx) => ctx.scope.item.set(seen, n)).mapAsync(async (n, ctx) => n + ctx.scope.item.get(seen)),
      fc.nat(),
      { numRuns: 30 },
    )
  })

  it('holds for the empty chain', () => assertOperatorLaws((values) => values, fc.nat(), { numRuns: 20 }))
})
