/** The laws of operators, checked on random values. */
import assert from 'node:assert'
import type { Arbitrary } from 'fast-check'
import { differences, orderedDifferences, textOf } from './_differences.ts'
import { checkLaws, type LawRuns, law, loadFastCheck } from './_fastCheck.ts'
import { type Build, type Fate, fates, type LawItem, type LawRow, type LawRun, lawRun } from './_lawRun.ts'

export interface OperatorLawOptions extends LawRuns {
  /**
   * Whether the operator makes groups. Where groups are cut depends on how values arrive, so the law of chunks is left
   * out, and that of undone items is checked within one batch. Default false.
   */
  readonly groups?: boolean
}

/** Random items and ways in which they arrive. */
interface Input<In> {
  readonly items: readonly LawItem<In>[]
  readonly partitions: number
  readonly chunk: number
  readonly maxItems: number
}

const change = /read only property|not extensible|Cannot delete property|Cannot redefine property/

/**
 * Checks the laws that every operator keeps, on random values with random cuts; a law that is broken throws with the
 * shortest input that breaks it.
 *
 * - The same input twice gives the same output.
 * - Any split into chunks and batches gives the same values (not for operators that make groups).
 * - An item that is undone elsewhere in the stream leaves no trace: what is written is what would be written if the
 *   undone items had never existed. They are ignored or throw before the operator, behind it, in another leaf of the
 *   stream and in an asynchronous one.
 * - Nothing of an undone item reaches a sink.
 * - What is thrown behind the operator goes through it.
 * - Values come out in the order of their partition.
 * - Outcomes add up: each item has exactly one.
 * - Values that come in are not changed.
 *
 * @example
 * await assertOperatorLaws<number, number>((numbers) => numbers.map((n) => n * 2), fc.integer())
 * await assertOperatorLaws((numbers) => numbers.batch({ max: 3 }), fc.integer(), { groups: true })
 *
 * @param build applies the operator to a stream; it is called once for each run
 * @param values makes the values; any that structured clones keep
 * @param options `groups`: the operator makes groups (false) · `numRuns` for each law (100) · `seed` draws the same values again ·
 *   `replay` one input, as a failure prints it
 * @throws Error with the law's name and the values; SettingsError MR-TEST-FAST-CHECK where fast-check is missing
 */
export async function assertOperatorLaws<In, Out>(
  build: Build<In, Out>,
  values: Arbitrary<In>,
  options: OperatorLawOptions = {},
): Promise<void> {
  const fc = await loadFastCheck()
  const { groups = false } = options
  const key = fc.constantFrom('', 'a', 'b')
  const arrival = { partitions: fc.integer({ min: 1, max: 2 }), chunk: small(), maxItems: small() }
  function small() {
    return fc.integer({ min: 1, max: 12 })
  }
  const inputOf = (fate: Arbitrary<Fate>): Arbitrary<Input<In>> =>
    fc.record({ items: fc.array(fc.record({ value: values, key, fate }), { maxLength: 16 }), ...arrival })
  const standing = inputOf(fc.constant('stands'))
  const falling = inputOf(
    fc.oneof(
      { weight: 3, arbitrary: fc.constant('stands' as const) },
      { weight: 2, arbitrary: fc.constantFrom(...fates) },
    ),
  )

  const standingCheck = async ({ items, ...cut }: Input<In>) => {
    const run = await lawRun(build, items, cut)
    law('values that come in are not changed', () => {
      assert.deepStrictEqual(
        run.errors.filter((message) => change.test(message)),
        [],
      )
    })
    law('values come out in the order of their partition', () => {
      if (!groups) assertRows(run.given, run.rows)
      for (const { items } of run.rows) {
        const inOrder = items.toSorted((a, b) => a - b)
        assert(items.join() === inOrder.join(), `  of one group are the items ${items.map(numbered).join(', ')}`)
      }
    })
    const again = await lawRun(build, items, cut)
    law('the same input twice gives the same output', () => assertSame(again, run))
    if (groups) return
    const atOnce = await lawRun(build, items, inOneBatch(items, cut))
    law(
      'any split into chunks and batches gives the same values; { groups: true } is for operators that make groups',
      () => assertSame(run, atOnce),
    )
  }

  const fallingCheck = async ({ items, ...cut }: Input<In>) => {
    const batches = groups ? inOneBatch(items, cut) : cut
    const run = await lawRun(build, items, batches)
    law('nothing of an undone item reaches a sink', () => {
      const present = run.rows.filter((row) => row.items.some((item) => run.undone.has(item)))
      assertRows(present, [])
    })
    law('what is thrown behind an operator goes through it, and undoes the item', () => {
      const spared = run.rows.filter((row) => row.items.some((item) => items[item]?.fate !== 'stands'))
      assertRows(spared, [])
    })
    const never = await lawRun(build, items, batches, run.undone)
    law('an item that is undone leaves no trace in others', () => assertRows(run.rows, never.rows))
  }

  const again = (replay: string) => `await assertOperatorLaws(build, values, { ...options, replay: '${replay}' })`
  await checkLaws(fc, { name: 'standing', inputs: standing, check: standingCheck, tell, again }, options)
  await checkLaws(fc, { name: 'falling', inputs: falling, check: fallingCheck, tell, again }, options)
}

/** The same arrival in one batch. */
function inOneBatch({ length }: readonly unknown[], cut: Omit<Input<unknown>, 'items'>) {
  return { ...cut, maxItems: length + 1 }
}

function assertSame(run: LawRun, expected: LawRun): void {
  assertRows(run.rows, expected.rows)
  const told = ({ undone }: LawRun) =>
    [...undone].sort((a, b) => a - b).map((item) => `item ${numbered(item)} is undone`)
  assertNone(differences(told(run), told(expected)))
}

function assertRows(seen: readonly LawRow[], expected: readonly LawRow[]): void {
  const told = (rows: readonly LawRow[]) =>
    rows.map(({ items, value }) => {
      const numbers = items.map(numbered)
      return numbers.length === 1 ? { item: numbers[0], value } : { items: numbers, value }
    })
  assertNone(orderedDifferences(told(seen), told(expected)))
}

function assertNone(lines: readonly string[] | undefined): void {
  assert(lines === undefined, lines?.join('\n'))
}

/** Items as people count them. */
function numbered(item: number): number {
  return item + 1
}

function tell<In>({ items, partitions, chunk, maxItems }: Input<In>): string {
  const where = partitions === 1 ? 'one partition' : `${partitions} partitions`
  const lines = items.map(({ value, key, fate }, index) => {
    const end = fate === 'stands' ? '' : `  ← ${fate}`
    return `  ${index + 1}. ${key === '' ? '' : `key "${key}" `}${textOf(value)}${end}`
  })
  const count = items.length === 1 ? 'one item' : `${items.length} items`
  return [`with ${count} in ${where}, in chunks of up to ${chunk} and batches of up to ${maxItems}:`, ...lines].join(
    '\n',
  )
}
