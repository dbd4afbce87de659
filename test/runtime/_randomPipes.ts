/**
 * Random trees of streams: each may depend on one, may have a pipe, and may trigger others; and items that do something
 * at one or two places of the tree.
 */
import fc from 'fast-check'

/**
 * What an item does at a place. Once means: until it has stopped something; for all: where several items are worked on at
 * once.
 */
export type Deed =
  | 'continue'
  | 'ignore'
  | 'throw'
  | 'swallow'
  | 'refused'
  | 'break once'
  | 'error once'
  | 'continue for all'
  | 'ignore for all'

export interface Act {
  readonly deed: Deed
  /** Which of the plan's places, counted round. */
  readonly at: number
  /** Whether it comes before what the callback writes and counts there, or after. */
  readonly early: boolean
}

export interface Item {
  readonly id: number
  readonly acts: readonly Act[]
}

export type Step =
  /** Counts in a slot of its own, and writes what it saw. */
  | { readonly kind: 'count'; readonly scope: 'item' | 'batch' | 'context'; readonly as: 'number' | 'list' }
  | { readonly kind: 'async'; readonly order: 'key' | 'none'; readonly concurrency: number }
  | { readonly kind: 'filter'; readonly by: number }
  | { readonly kind: 'twice' | 'to' }
  | { readonly kind: 'group'; readonly max: number }

export interface RandomPipe {
  readonly mode: 'sync' | 'async' | 'mixed' | 'class'
  /** What `prepare` makes of the items: nothing, some of them, others in their place, two of each, a sum over all. */
  readonly prepare: 'none' | 'same' | 'some' | 'others' | 'twice' | 'sum' | 'first three'
  /** What `process` does to scopes: a number, a list that is changed in place, or a number that all pipes share. */
  readonly counts: 'nothing' | 'number' | 'list' | 'context'
  readonly results: 'all' | 'some'
  readonly finish: 'none' | 'looks' | 'writes'
}

export interface RandomStream {
  readonly before: readonly Step[]
  readonly dependency: RandomStream | undefined
  readonly pipe: RandomPipe | undefined
  readonly after: readonly Step[]
  readonly triggered: readonly RandomStream[]
}

/** A stream of the tree, with the name that it runs under. */
export interface NamedStream extends RandomStream {
  readonly name: string
  readonly dependency: NamedStream | undefined
  readonly triggered: readonly NamedStream[]
}

const small = fc.integer({ min: 1, max: 3 })

const itemwise: readonly fc.Arbitrary<Step>[] = [
  fc.record({
    kind: fc.constant('count' as const),
    scope: fc.constantFrom('item', 'batch', 'context'),
    as: fc.constantFrom('number', 'list'),
  }),
  fc.record({ kind: fc.constant('async' as const), order: fc.constantFrom('key', 'none'), concurrency: small }),
  fc.record({ kind: fc.constant('filter' as const), by: small }),
  fc.record({ kind: fc.constantFrom('twice' as const, 'to' as const) }),
]

const grouping: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('group' as const),
  max: fc.integer({ min: 1, max: 4 }),
})

/** @param looks whether what becomes of one item may hang on which others there are: groups, and the first three */
function randomPipe(looks: boolean): fc.Arbitrary<RandomPipe> {
  const prepares = ['none', 'same', 'some', 'others', 'twice', 'sum'] as const
  return fc.record({
    mode: fc.constantFrom('sync', 'async', 'mixed', 'class'),
    prepare: fc.constantFrom(...prepares, ...(looks ? ['first three' as const] : [])),
    counts: fc.constantFrom('nothing', 'number', 'list', 'context'),
    results: fc.constantFrom('all', 'some'),
    finish: fc.constantFrom('none', 'looks', 'writes'),
  })
}

export function randomStream({ looks }: { readonly looks: boolean }): fc.Arbitrary<NamedStream> {
  const steps = (all: readonly fc.Arbitrary<Step>[]) => fc.array(fc.oneof(...all), { maxLength: 2 })
  const level = (depth: number): fc.Arbitrary<RandomStream> =>
    fc.record({
      before: steps(itemwise),
      dependency: depth === 0 ? fc.constant(undefined) : fc.option(level(depth - 1), { nil: undefined, freq: 2 }),
      pipe: fc.option(randomPipe(looks), { nil: undefined, freq: 4 }),
      after: steps(looks ? [...itemwise, grouping] : itemwise),
      triggered: depth === 0 ? fc.constant([]) : fc.array(level(depth - 1), { maxLength: 2 }),
    })
  return level(2).map((stream) => named(looks ? dependingFirst(stream) : stream, 'own'))
}

/** The stream with nothing before what it depends on: there an item can be kept out of one and not of the other. */
function dependingFirst(stream: RandomStream): RandomStream {
  const { dependency, before, triggered } = stream
  return {
    ...stream,
    before: dependency === undefined ? before : [],
    dependency: dependency === undefined ? undefined : dependingFirst(dependency),
    triggered: triggered.map(dependingFirst),
  }
}

/** Whether items are put together in it anywhere. */
export function hasGroups({ after, dependency, triggered }: RandomStream): boolean {
  const streams = dependency === undefined ? triggered : [dependency, ...triggered]
  return after.some(({ kind }) => kind === 'group') || streams.some(hasGroups)
}

function named(stream: RandomStream, name: string): NamedStream {
  return {
    ...stream,
    name,
    dependency: stream.dependency === undefined ? undefined : named(stream.dependency, `${name}.d`),
    triggered: stream.triggered.map((triggered, index) => named(triggered, `${name}.t${index}`)),
  }
}

export function randomItems(deeds: readonly Deed[]): fc.Arbitrary<Item[]> {
  const act = fc.record({ deed: fc.constantFrom(...deeds), at: fc.nat(40), early: fc.boolean() })
  return fc.array(fc.array(act, { maxLength: 2 }), { maxLength: 12 }).map((all) => {
    // A batch is tried three times, so two acts may ask for another try.
    let asked = 0
    return all.map((acts, id) => ({
      id,
      acts: acts.filter(({ deed }) => deed !== 'error once' || ++asked <= 2),
    }))
  })
}

/** Where items may act: steps and callbacks, in the order in which an item comes to them. */
export function placesOf(stream: NamedStream): string[] {
  const { name, before, dependency, pipe, after, triggered } = stream
  return [
    ...before.map((_, index) => `${name}/before ${index}`),
    ...(dependency === undefined ? [] : placesOf(dependency)),
    ...(pipe === undefined ? [] : [`${name}/prepare`, `${name}/process`, `${name}/finish`]),
    ...after.map((_, index) => `${name}/after ${index}`),
    ...triggered.flatMap(placesOf),
  ]
}

/** What an item does at a place. */
export function actAt(places: readonly string[], item: Item, place: string): Act | undefined {
  const act = item.acts.find(({ at }) => places[at % places.length] === place)
  if (act === undefined) return undefined
  const isForAll = /\/(prepare|finish)$/.test(place)
  return /^(continue|ignore)/.test(act.deed) && act.deed.endsWith('all') !== isForAll ? undefined : act
}

export const passesFilter = (by: number, id: number) => id % (by + 1) !== 0
export const passesPrepare = ({ prepare }: RandomPipe, id: number) => prepare !== 'some' || id % 3 !== 1
export const hasResult = ({ results }: RandomPipe, id: number) => results === 'all' || id % 2 === 0
