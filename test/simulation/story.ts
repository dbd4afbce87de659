/** What is made up for a simulation: records and faults at moments of virtual time, and the seed of all delays. */
import fc from 'fast-check'
import { type Fate, fates, type StatementKind, statementKinds } from './modelServer.ts'
import type { OperatorAction } from './operator.ts'
import { type Deed, deeds, type Policy, policies } from './orders.ts'

/** A record of a producer, alone or in one of its transactions. */
export interface Sending {
  readonly atMs: number
  readonly key: string
  readonly deed: Deed
  /** Transactions of the same number are one; it ends `forMs` after its last record. */
  readonly transaction: { readonly number: number; readonly commits: boolean; readonly forMs: number } | undefined
}

/** Of the processes that are alive, the one at this place, counted round. */
interface OnProcess {
  readonly process: number
}

export type Fault =
  | (OnProcess & { readonly kind: 'kill'; readonly noticedAfterMs: number })
  | (OnProcess & { readonly kind: 'doom'; readonly at: StatementKind | 'any'; readonly fate: Fate })
  | (OnProcess & { readonly kind: 'pause'; readonly forMs: number })
  | (OnProcess & { readonly kind: 'terminate' })
  | (OnProcess & { readonly kind: 'expel' })
  | (OnProcess & { readonly kind: 'clock jump'; readonly byMs: number })
  | { readonly kind: 'join' }
  | { readonly kind: 'rebalance' }
  | { readonly kind: 'database crash'; readonly downMs: number }
  | { readonly kind: 'backends terminated' }
  | { readonly kind: 'slow network'; readonly forMs: number }
  | { readonly kind: 'partitions added'; readonly count: number }
  | { readonly kind: 'gap'; readonly partition: number; readonly positions: number }
  | { readonly kind: 'retention'; readonly partition: number }

export interface Story {
  readonly seed: number
  readonly partitions: number
  readonly processes: number
  /** Records that a fetch brings at most. */
  readonly chunk: number
  readonly maxItems: number
  /** What becomes of orders that fail. */
  readonly policy: Policy
  readonly sent: readonly Sending[]
  readonly faults: readonly { readonly atMs: number; readonly fault: Fault }[]
  /** When somebody at the command line asks for what. */
  readonly asked: readonly { readonly atMs: number; readonly action: OperatorAction }[]
  /** What happens to the topic when all is done. */
  readonly disaster: Disaster | undefined
}

export type Disaster =
  /** A leader that had not all records: what is left of each partition. */
  | { readonly kind: 'truncated'; readonly keep: number }
  /** The topic is deleted and made again, with other records. */
  | { readonly kind: 'recreated'; readonly records: number }

/** While records come and faults strike. */
export const horizonMs = 10_000

const atMs = fc.integer({ min: 0, max: horizonMs })
const process = fc.nat({ max: 3 })
const keys = ['a', 'b', 'c', 'd', 'e']

const transaction = fc.record({
  number: fc.nat({ max: 2 }),
  commits: fc.boolean(),
  forMs: fc.integer({ min: 0, max: 1_000 }),
})

const sending: fc.Arbitrary<Sending> = fc.record({
  atMs,
  key: fc.constantFrom(...keys),
  deed: fc.oneof(
    { weight: 3, arbitrary: fc.constant<Deed>('plain') },
    { weight: 7, arbitrary: fc.constantFrom(...deeds) },
  ),
  transaction: fc.option(transaction, { freq: 4, nil: undefined }),
})

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constant('kill' as const), process, noticedAfterMs: fc.constantFrom(0, 500, 10_000) }),
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('doom' as const),
      process,
      at: fc.oneof(
        fc.constantFrom(...statementKinds, 'any' as const),
        fc.constantFrom('fence' as const, 'commit' as const),
      ),
      fate: fc.constantFrom(...fates),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('pause' as const), process, forMs: fc.integer({ min: 10, max: 40_000 }) }),
  },
  fc.record({ kind: fc.constant('terminate' as const), process }),
  fc.record({ kind: fc.constant('expel' as const), process }),
  fc.record({
    kind: fc.constant('clock jump' as const),
    process,
    byMs: fc.integer({ min: 1, max: 3_600_000 }),
  }),
  fc.constant({ kind: 'join' as const }),
  fc.constant({ kind: 'rebalance' as const }),
  fc.record({ kind: fc.constant('database crash' as const), downMs: fc.integer({ min: 0, max: 5_000 }) }),
  fc.constant({ kind: 'backends terminated' as const }),
  fc.record({ kind: fc.constant('slow network' as const), forMs: fc.integer({ min: 100, max: 10_000 }) }),
  fc.record({ kind: fc.constant('partitions added' as const), count: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ kind: fc.constant('gap' as const), partition: process, positions: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant('retention' as const), partition: process }),
)

const disaster: fc.Arbitrary<Disaster> = fc.oneof(
  fc.record({ kind: fc.constant('truncated' as const), keep: fc.nat({ max: 20 }) }),
  fc.record({ kind: fc.constant('recreated' as const), records: fc.nat({ max: 40 }) }),
)

const operatorAction: fc.Arbitrary<OperatorAction> = fc.oneof(
  { weight: 3, arbitrary: fc.constant('replay' as const) },
  fc.constant('ignore' as const),
)

export const stories: fc.Arbitrary<Story> = fc.record({
  seed: fc.nat({ max: 2 ** 31 - 1 }),
  partitions: fc.integer({ min: 1, max: 3 }),
  processes: fc.integer({ min: 1, max: 3 }),
  chunk: fc.integer({ min: 1, max: 8 }),
  maxItems: fc.integer({ min: 1, max: 8 }),
  sent: fc.array(sending, { maxLength: 60, size: 'max' }),
  faults: fc.array(fc.record({ atMs, fault }), { maxLength: 12, size: 'max' }),
  policy: fc.constantFrom(...policies),
  asked: fc.array(fc.record({ atMs, action: operatorAction }), { maxLength: 6, size: 'max' }),
  disaster: fc.option(disaster, { freq: 3, nil: undefined }),
})

/** The story of a seed. */
export function storyOf(seed: number): Story {
  const [story] = fc.sample(fc.noBias(stories), { seed, numRuns: 1 })
  if (story === undefined) throw new Error('a sample was asked for')
  return story
}
