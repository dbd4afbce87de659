/**
 * Random plans of a few steps, items that do something at one of them, and the same plans as plain loops over the items.
 */
import fc from 'fast-check'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import type { AsyncItemContext, ItemContext } from '../../src/core/context.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import { type Stream, stream } from '../../src/stream.ts'
import { topic } from '../../src/topic.ts'

/** A value on its way: which item it came from, and the steps that it took. */
export interface Value {
  readonly id: number
  readonly path: string
}

export type Deed = 'nothing' | 'continue' | 'ignore' | 'throw' | 'swallow' | 'break once' | 'error once' | 'error twice'

/** What an item does, and at which step. */
export interface Item {
  readonly id: number
  readonly deed: Deed
  readonly at: number
}

export type Step =
  | { readonly kind: 'map' | 'tap' | 'write' | 'writeUnopened' | 'to' | 'count' }
  | { readonly kind: 'filter' | 'branch' | 'flatMap'; readonly by: number }
  | { readonly kind: 'mapAsync'; readonly order: 'key' | 'none'; readonly concurrency: number }
  | { readonly kind: 'batch'; readonly max: number; readonly by: number; readonly flatten: boolean }

/** A prefix, and the leaves that begin at its end. */
export interface RandomPlan {
  readonly prefix: readonly Step[]
  readonly leaves: readonly (readonly Step[])[]
}

export const source = topic('items', json<Item>())
export const written = table<Value>('written')
export const side = table<Value>('side')
export const unopened = table<Value>('unopened')
export const sinks = [written, side, unopened]

const seen = slot('seen', () => 0)

const small = fc.integer({ min: 1, max: 3 })
const itemwiseSteps: fc.Arbitrary<Step>[] = [
  fc.record({ kind: fc.constantFrom('map', 'tap', 'write', 'writeUnopened', 'to', 'count') }),
  fc.record({ kind: fc.constantFrom('filter', 'branch', 'flatMap'), by: small }),
  fc.record({ kind: fc.constant('mapAsync'), order: fc.constantFrom('key', 'none'), concurrency: small }),
]
const groupStep: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('batch'),
  max: fc.integer({ min: 1, max: 4 }),
  by: small,
  flatten: fc.boolean(),
})

export function randomPlan({ groups }: { groups: boolean }): fc.Arbitrary<RandomPlan> {
  const step = fc.oneof(...itemwiseSteps, ...(groups ? [groupStep] : []))
  const steps = fc.array(step, { maxLength: 3 })
  return fc.record({ prefix: steps, leaves: fc.array(steps, { minLength: 1, maxLength: 2 }) })
}

export function randomItems(deeds: readonly Deed[]): fc.Arbitrary<Item[]> {
  const one = fc.record({
    deed: fc.oneof(fc.constant('nothing' as const), fc.constantFrom(...deeds)),
    at: fc.nat(5),
  })
  return fc.array(one, { maxLength: 14 }).map((items) => {
    // A batch is tried three times, so one item may ask for another try.
    const asks = items.findIndex(({ deed }) => deed.startsWith('error'))
    return items.map((item, id) => ({
      ...item,
      id,
      deed: item.deed.startsWith('error') && id !== asks ? 'nothing' : item.deed,
    }))
  })
}

/** Raises what an item does once or twice only, so that the next try gets further. */
type Raised = Map<string, number>

/** The steps of a plan in the order of their numbers. */
function stepCount({ prefix, leaves }: RandomPlan): number {
  return prefix.length + leaves.reduce((sum, leaf) => sum + leaf.length, 0)
}

/** Between barriers an item's paths take turns, so that how often it was counted depends on where they stand. */
export function hasBarrier({ prefix, leaves }: RandomPlan): boolean {
  return [prefix, ...leaves].flat().some(({ kind }) => kind === 'mapAsync' || kind === 'branch')
}

/** Whether an item does its deed at a step; `at` is any number. */
export function acts(plan: RandomPlan, item: Item, step: number): boolean {
  return stepCount(plan) > 0 && item.at % stepCount(plan) === step
}

/** @param from where the items come from, each at the offset of its place in the list unless a header says which it is */
export function streamsOf(
  plan: RandomPlan,
  items: readonly Item[],
  from: Stream<Item> = stream('random').from(source),
): Stream<Value>[] {
  const raised: Raised = new Map()
  const act = (step: number, ctx: ItemContext | AsyncItemContext): void => {
    for (const record of ctx.records) {
      const item = items[Number(record.header('item') ?? record.offset)]
      if (item !== undefined && acts(plan, item, step)) perform(item, step, raised)
    }
  }
  let number = 0
  const add = (on: Stream<Value>, steps: readonly Step[]) =>
    steps.reduce((before, step) => addStep(before, { step, number: number++, act, counts: !hasBarrier(plan) }), on)
  const base = add(
    from.map(({ id }): Value => ({ id, path: '' })),
    plan.prefix,
  )
  return plan.leaves.map((leaf) => add(base, leaf).to(written))
}

function perform({ id, deed }: Item, step: number, raised: Raised): undefined {
  const key = `${id}/${step}`
  const before = raised.get(key) ?? 0
  switch (deed) {
    case 'nothing':
      return
    case 'continue':
      return signal.continue()
    case 'ignore':
      return signal.ignore('asked for')
    case 'throw':
      throw new Error('asked for')
    case 'swallow':
      try {
        signal.ignore()
      } catch {}
      return
    case 'break once':
      if (before > 0) return
      raised.set(key, before + 1)
      return signal.break('asked for', { resumeAfterMs: 1_000 })
    case 'error once':
    case 'error twice':
      if (before >= (deed === 'error once' ? 1 : 2)) return
      raised.set(key, before + 1)
      return signal.error(new Error('asked for'))
    default:
      deed satisfies never
  }
}

interface Numbered {
  readonly step: Step
  readonly number: number
  /** Whether it matters how often an item was counted. */
  readonly counts: boolean
  act(step: number, ctx: ItemContext | AsyncItemContext): void
}

function addStep(on: Stream<Value>, { step, number, counts, act }: Numbered): Stream<Value> {
  const { kind } = step
  const extended = (value: Value, suffix: string): Value => ({ ...value, path: `${value.path}${suffix}` })
  switch (kind) {
    case 'map':
      return on.map((value, ctx) => {
        act(number, ctx)
        return extended(value, 'm')
      })
    case 'tap':
      return on.tap((_, ctx) => act(number, ctx))
    case 'write':
    case 'writeUnopened':
      return on.tap((value, ctx) => {
        ctx.write(kind === 'write' ? side : unopened, extended(value, 'w'))
        act(number, ctx)
      })
    case 'count':
      return on.map((value, ctx) => {
        act(number, ctx)
        const count = ctx.scope.item.update(seen, (n) => n + 1)
        return extended(value, counts ? `c${count}` : 'c')
      })
    case 'to':
      return on.to(side, (value, ctx) => {
        act(number, ctx)
        return extended(value, 't')
      })
    case 'filter':
      return on.filter(({ id }, ctx) => {
        act(number, ctx)
        return id % (step.by + 1) !== 0
      })
    case 'flatMap':
      return on.flatMap(function* (value, ctx) {
        for (let ordinal = 0; ordinal < (value.id + step.by) % 4; ordinal++) {
          if (ordinal === 1) act(number, ctx)
          yield extended(value, String(ordinal))
        }
      })
    case 'branch': {
      const [yes, no] = on.branch(({ id }, ctx) => {
        act(number, ctx)
        return id % (step.by + 1) === 0
      })
      return yes.map((value) => extended(value, 'y')).merge(no.mapAsync(async (value) => extended(value, 'n')))
    }
    case 'mapAsync':
      return on.mapAsync(
        async (value, ctx) => {
          for (let turn = value.id % 3; turn >= 0; turn--) await Promise.resolve()
          ctx.write(side, extended(value, 'A'))
          act(number, ctx)
          return extended(value, 'a')
        },
        { order: step.order, concurrency: step.concurrency },
      )
    case 'batch': {
      const groups = on.batch({ max: step.max, by: ({ id }) => id % step.by })
      const checked = groups.tap((_, ctx) => act(number, ctx))
      if (step.flatten) return checked.flatten()
      return checked.map((group) => ({
        id: group[0]?.id ?? -1,
        path: `[${group.map(({ id, path }) => `${id}${path}`).join(' ')}]`,
      }))
    }
    default:
      return step satisfies never
  }
}
