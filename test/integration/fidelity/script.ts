/** Random scripts for two connections to a Postgres: what millrace sends, in any order. */
import fc from 'fast-check'

/** Of three, two could wait for the third, and which of them goes first is chance. */
export const connections = 2
const owners = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const

export interface LedgerLine {
  readonly id: number
  readonly amount: number
  readonly mark: string | null
}

export type Action =
  | { readonly kind: 'claim'; readonly partition: number; readonly owner: string }
  /** `stale`: of the claim before the last. */
  | { readonly kind: 'fence'; readonly partition: number; readonly stale: boolean; readonly nextOffset: number }
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'savepoint' | 'rollback to' | 'constraints' }
  | { readonly kind: 'ledger'; readonly lines: readonly LedgerLine[] }
  | { readonly kind: 'totals'; readonly accounts: readonly string[] }
  | { readonly kind: 'parents'; readonly accounts: readonly string[] }
  | { readonly kind: 'children'; readonly parents: readonly string[] }

export interface Step {
  readonly connection: number
  readonly action: Action
}

const account = fc.constantFrom('a', 'b', 'c')
const partition = fc.nat({ max: 1 })

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant('claim' as const), partition, owner: fc.constantFrom(...owners) }),
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('fence' as const),
      partition,
      stale: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
      nextOffset: fc.nat({ max: 100 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  fc.record({ kind: fc.constantFrom('begin' as const, 'rollback' as const, 'constraints' as const) }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('savepoint' as const, 'rollback to' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('ledger' as const),
      lines: fc.array(
        fc.record({
          id: fc.nat({ max: 99 }),
          amount: fc.oneof({ weight: 6, arbitrary: fc.nat({ max: 9 }) }, fc.constant(-1)),
          mark: fc.option(account, { nil: null, freq: 2 }),
        }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('totals' as const),
      accounts: fc.uniqueArray(account, { minLength: 1, maxLength: 3 }),
    }),
  },
  // The same key twice in one statement: Postgres refuses that.
  fc.record({ kind: fc.constant('totals' as const), accounts: fc.constant(['a', 'a']) }),
  fc.record({
    kind: fc.constant('parents' as const),
    accounts: fc.uniqueArray(account, { minLength: 1, maxLength: 2 }),
  }),
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('children' as const),
      parents: fc.array(account, { minLength: 1, maxLength: 2 }),
    }),
  },
)

const claims: readonly Step[] = [0, 1].map((number) => ({
  connection: number,
  action: { kind: 'claim', partition: number, owner: owners[0] },
}))

export const scripts: fc.Arbitrary<readonly Step[]> = fc
  .array(fc.record({ connection: fc.nat({ max: connections - 1 }), action }), {
    minLength: 4,
    maxLength: 24,
    size: 'max',
  })
  .map((steps) => [...claims, ...steps])
