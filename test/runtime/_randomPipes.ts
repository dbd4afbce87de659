/**
 * Random pipes: a stream that depends on another and triggers a third, each a pipe that counts in scopes, and items that
 * do something in one of them. `streamOf` makes the plan, `modelOf` is the same as plain loops over an array.
 */
import fc from 'fast-check'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import type { ProcessContext, RunContext } from '../../src/core/context.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import { type Stream, segment, stream } from '../../src/stream.ts'
import { topic } from '../../src/topic.ts'

export type Deed = 'nothing' | 'continue' | 'ignore' | 'throw' | 'refused' | 'break once'
type Part = 'dependency' | 'own' | 'triggered'

export interface Item {
  readonly id: number
  readonly deed: Deed
  readonly part: Part
  /** Whether it does its deed before it writes and counts, or after. */
  readonly early: boolean
}

export interface RandomPipe {
  readonly mode: 'sync' | 'async' | 'mixed' | 'class'
  /** What `prepare` makes of the items: nothing, some of them, others in their place, or a sum over all. */
  readonly prepare: 'none' | 'same' | 'some' | 'others' | 'sum'
  /** What `process` does to scopes: a number, a list that is changed in place, or one of the context. */
  readonly counts: 'nothing' | 'number' | 'list' | 'context'
  readonly results: 'all' | 'some'
  readonly finish: 'none' | 'looks' | 'writes'
}

export interface RandomPipes {
  readonly dependency: RandomPipe | undefined
  readonly own: RandomPipe
  readonly triggered: RandomPipe | undefined
}

export interface Row {
  readonly by: string
  readonly id: number
  readonly seen: string
}

export const source = topic('items', json<Item>())
export const rows = table<Row>('rows')

const number = slot('number', () => 0)
const list = slot('list', (): number[] => [])
const shared = slot('shared', () => 0)
const sum = slot('sum', () => 0)

const pipe: fc.Arbitrary<RandomPipe> = fc.record({
  mode: fc.constantFrom('sync', 'async', 'mixed', 'class'),
  prepare: fc.constantFrom('none', 'same', 'some', 'others', 'sum'),
  counts: fc.constantFrom('nothing', 'number', 'list', 'context'),
  results: fc.constantFrom('all', 'some'),
  finish: fc.constantFrom('none', 'looks', 'writes'),
})

export const randomPipes: fc.Arbitrary<RandomPipes> = fc.record({
  dependency: fc.option(pipe, { nil: undefined }),
  own: pipe,
  triggered: fc.option(pipe, { nil: undefined }),
})

export const randomItems: fc.Arbitrary<Item[]> = fc
  .array(
    fc.record({
      deed: fc.oneof(
        { weight: 3, arbitrary: fc.constant('nothing' as const) },
        {
          weight: 4,
          arbitrary: fc.constantFrom<Deed>('continue', 'ignore', 'throw', 'refused', 'break once'),
        },
      ),
      part: fc.constantFrom<Part>('dependency', 'own', 'triggered'),
      early: fc.boolean(),
    }),
    { maxLength: 12 },
  )
  .map((items) => {
    // After more refusals a batch is cut, and what depends on the cut shows it.
    const refused = items.flatMap(({ deed }, id) => (deed === 'refused' ? [id] : []))
    const tooMany = new Set(refused.slice(3))
    return items.map((item, id) => ({ ...item, id, deed: tooMany.has(id) ? ('nothing' as const) : item.deed }))
  })

const passesPrepare = ({ prepare }: RandomPipe, id: number) => prepare !== 'some' || id % 3 !== 1
const hasResult = ({ results }: RandomPipe, id: number) => results === 'all' || id % 2 === 0

/** Items that break off do so until they are released. */
export interface Breaks {
  readonly seen: Set<number>
  readonly released: ReadonlySet<number>
}

export function streamOf({ dependency, own, triggered }: RandomPipes, breaks: Breaks): Stream<unknown> {
  const part = (name: Part, random: RandomPipe) => (on: Stream<Item>) => on.process(callbacksOf(name, random, breaks))
  let before = stream('own').from(source)
  if (dependency !== undefined) before = before.dependsOn(segment('dependency', part('dependency', dependency)))
  const done = part('own', own)(before)
  return triggered === undefined ? done : done.triggers(segment('triggered', part('triggered', triggered)))
}

function callbacksOf(part: Part, random: RandomPipe, breaks: Breaks) {
  const act = (item: Item): void => {
    if (item.part !== part) return
    if (item.deed === 'continue') signal.continue()
    if (item.deed === 'ignore') signal.ignore('asked for')
    if (item.deed === 'throw') throw new Error('asked for')
    if (item.deed === 'break once' && !breaks.released.has(item.id)) {
      breaks.seen.add(item.id)
      signal.break('asked for', { resumeAfterMs: 1_000 })
    }
  }
  const work = (item: Item, ctx: ProcessContext): Item | undefined => {
    if (item.early) act(item)
    ctx.write(rows, { by: part, id: item.id, seen: seenOf(random, item, ctx) })
    if (!item.early) act(item)
    return hasResult(random, item.id) ? item : undefined
  }
  const process = async (item: Item, ctx: ProcessContext) => {
    await ctx.call('wait', [item.id], async () => {})
    return work(item, ctx)
  }
  const prepare = (items: readonly Item[], ctx: RunContext) => {
    if (random.prepare === 'same') return items
    if (random.prepare === 'some') return items.filter(({ id }) => passesPrepare(random, id))
    if (random.prepare === 'others') return items.map((item) => ({ ...item }))
    for (const { id } of items) ctx.scope.batch.update(sum, (before) => before + id)
    return undefined
  }
  const finish = (results: readonly Item[], ctx: RunContext) => {
    if (random.finish === 'looks') ctx.scope.batch.get(number)
    else ctx.write(rows, { by: `${part} finish`, id: -1, seen: results.map(({ id }) => id).join() })
  }
  const callbacks = {
    ...(random.prepare === 'none' ? {} : { prepare }),
    process:
      random.mode === 'async'
        ? process
        : random.mode === 'mixed'
          ? (item: Item, ctx: ProcessContext) => (item.id % 2 === 0 ? work(item, ctx) : process(item, ctx))
          : work,
    ...(random.finish === 'none' ? {} : { finish }),
  }
  if (random.mode !== 'class') return callbacks
  return class {
    readonly prepare = callbacks.prepare
    readonly process = callbacks.process
    readonly finish = callbacks.finish
  } as unknown as typeof callbacks
}

function seenOf({ counts, prepare }: RandomPipe, { id }: Item, ctx: ProcessContext): string {
  const total = prepare === 'sum' ? `sum ${ctx.scope.batch.get(sum)} ` : ''
  switch (counts) {
    case 'nothing':
      return total
    case 'number':
      return `${total}${ctx.scope.batch.update(number, (before) => before + 1)}`
    case 'list': {
      const ids = ctx.scope.batch.get(list)
      ids.push(id)
      return `${total}${ids.join()}`
    }
    case 'context':
      return `${total}${ctx.scope.context.update(shared, (before) => before * 2 + id)}`
  }
}

/** Rows as they are after all runs, as a text for each. */
export function modelOf(plan: RandomPipes, items: readonly Item[]): string[] {
  const written: string[] = []
  for (let first = 0; first < items.length; ) {
    const end = brokenAt(plan, items, first)
    modelRun(plan, items.slice(first, end), written)
    first = end
  }
  return written.sort()
}

/** Where a run that begins with an item ends: before the first item behind it that breaks off. */
function brokenAt(plan: RandomPipes, items: readonly Item[], first: number): number {
  // What triggers a stream is known only at its end, so what breaks off there does so when all before it have passed.
  for (let end = first + 1; end < items.length; end++) {
    const item = items[end] as Item
    if (item.deed === 'break once' && reaches(plan, item)) return end
  }
  return items.length
}

/** Whether an item comes to the part in which it does its deed. */
function reaches({ dependency, own, triggered }: RandomPipes, { id, part }: Item): boolean {
  if (part === 'dependency') return dependency !== undefined && passesPrepare(dependency, id)
  if (!passesPrepare(own, id)) return false
  return part === 'own' || (triggered !== undefined && hasResult(own, id) && passesPrepare(triggered, id))
}

function modelRun(plan: RandomPipes, items: readonly Item[], written: string[]): void {
  const context = { value: 0 }
  const { dependency, own, triggered } = plan
  const run = (part: Part, pipe: RandomPipe, given: readonly Item[]) =>
    modelPart({ part, pipe, given, context, written })
  if (dependency !== undefined) run('dependency', dependency, items)
  const results = run('own', own, items)
  if (triggered !== undefined && results.length > 0) run('triggered', triggered, results)
}

interface ModelPart {
  readonly part: Part
  readonly pipe: RandomPipe
  readonly given: readonly Item[]
  readonly context: { value: number }
  readonly written: string[]
}

/** @returns the results */
function modelPart({ part, pipe, given, context, written }: ModelPart): readonly Item[] {
  const undone = (item: Item) =>
    item.part === part && /ignore|throw|refused/.test(item.deed) && passesPrepare(pipe, item.id)
  const standing = given.filter((item) => !undone(item))
  if (standing.length === 0) return []
  const total = standing.reduce((before, { id }) => before + id, 0)
  const ids: number[] = []
  const results: Item[] = []
  for (const item of standing.filter(({ id }) => passesPrepare(pipe, id))) {
    const continues = item.part === part && item.deed === 'continue'
    if (continues && item.early) continue
    ids.push(item.id)
    const shown = pipe.prepare === 'sum' ? `sum ${total} ` : ''
    if (pipe.counts === 'context') context.value = context.value * 2 + item.id
    const count = { nothing: '', number: ids.length, list: ids.join(), context: context.value }[pipe.counts]
    written.push(`${part} ${item.id} ${shown}${count}`)
    if (!continues && hasResult(pipe, item.id)) results.push(item)
  }
  if (pipe.finish === 'writes') written.push(`${part} finish -1 ${results.map(({ id }) => id).join()}`)
  return results
}
