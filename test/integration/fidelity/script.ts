/** Random scripts for two connections to a Postgres: what millrace sends, in any order. */
import fc from 'fast-check'
import { type ErrorState, errorStates, unsettledStates } from '../../../src/postgres/errorFilter.ts'

/** Of three, two could wait for the third, and which of them goes first is chance. */
export const connections = 2
const owners = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const

export interface LedgerLine {
  readonly id: number
  readonly amount: number
  readonly mark: string | null
}

export interface CollectedLine {
  readonly offset: number
  readonly key: string | null
  /** `due`: put off until now. `later`: put off for an hour. */
  readonly state: 'open' | 'parked' | 'due' | 'later'
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
  | { readonly kind: 'collect'; readonly items: readonly CollectedLine[] }
  /** Items of a task that are to run now, which the connection remembers. */
  | { readonly kind: 'take'; readonly limit: number }
  /** One of those that the connection has taken last. */
  | { readonly kind: 'settle'; readonly which: number; readonly outcome: 'done' | 'ignored' }
  | { readonly kind: 'fail again'; readonly which: number; readonly state: CollectedLine['state'] }
  /** Records come again: some stand, one fails. */
  | { readonly kind: 'match'; readonly standing: readonly number[]; readonly failed: number }
  | { readonly kind: 'waiting' | 'held' }
  | { readonly kind: 'ask'; readonly action: 'replay' | 'ignore'; readonly states: readonly ErrorState[] }

export interface Step {
  readonly connection: number
  readonly action: Action
}

const collectedState = fc.constantFrom<CollectedLine['state']>('open', 'parked', 'due', 'later')
const collectedOffset = fc.nat({ max: 5 })
const which = fc.nat({ max: 3 })

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

const collectorAction: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('collect' as const),
      items: fc.array(
        fc.record({ offset: collectedOffset, key: fc.option(account, { nil: null }), state: collectedState }),
        { minLength: 1, maxLength: 4 },
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const), limit: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      which,
      outcome: fc.constantFrom('done' as const, 'ignored' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fail again' as const), which, state: collectedState }) },
  fc.record({
    kind: fc.constant('match' as const),
    standing: fc.uniqueArray(collectedOffset, { maxLength: 2 }),
    failed: collectedOffset,
  }),
  fc.record({ kind: fc.constantFrom('waiting' as const, 'held' as const) }),
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      action: fc.constantFrom('replay' as const, 'ignore' as const),
      states: fc.constantFrom(unsettledStates, errorStates, ['open'] as const),
    }),
  },
)

const claims: readonly Step[] = [0, 1].map((number) => ({
  connection: number,
  action: { kind: 'claim', partition: number, owner: owners[0] },
}))

const scriptsOf = (actions: fc.Arbitrary<Action>): fc.Arbitrary<readonly Step[]> =>
  fc
    .array(fc.record({ connection: fc.nat({ max: connections - 1 }), action: actions }), {
      minLength: 4,
      maxLength: 24,
      size: 'max',
    })
    .map((steps) => [...claims, ...steps])

/** What commits are made of. */
export const scripts = scriptsOf(action)

/** The collector, in and out of transactions. */
export const collectorScripts = scriptsOf(
  fc.oneof(
    { weight: 4, arbitrary: collectorAction },
    fc.record({
      kind: fc.constantFrom('begin' as const, 'commit' as const, 'rollback' as const),
    }),
  ),
)
