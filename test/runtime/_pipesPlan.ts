/** A random tree of streams as a plan. */
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import type { AsyncItemContext, ItemContext, ProcessContext, RunContext } from '../../src/core/context.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import { type Stream, segment, stream } from '../../src/stream.ts'
import { topic } from '../../src/topic.ts'
import {
  type Act,
  actAt,
  hasResult,
  type Item,
  type NamedStream,
  passesFilter,
  passesPrepare,
  placesOf,
  type RandomPipe,
  type Step,
} from './_randomPipes.ts'

/** An item on its way, and which of its copies. */
export interface Value {
  readonly id: number
  readonly copy: string
}

export interface Row extends Value {
  /** The place that wrote it. */
  readonly by: string
  readonly seen: string
}

export const source = topic('items', json<Item>())
export const left = table<Row>('left')
export const right = table<Row>('right')

/** What stops a batch does so until it is told that it has. */
export class Stops {
  /** Items that have asked for a break and may not go on. */
  readonly waiting = new Set<number>()
  readonly #released = new Set<string>()

  raise(act: Act, { id }: Value, place: string): void {
    const key = `${id} ${place}`
    if (this.#released.has(key)) return
    if (act.deed === 'error once') {
      this.#released.add(key)
      signal.error(new Error('asked for'))
    }
    if (this.#released.has(String(id))) return
    this.waiting.add(id)
    signal.break('asked for', { resumeAfterMs: 1_000 })
  }

  /** Lets the first of those that wait go on: it has stopped the batch, whatever was raised behind it before. */
  release(): void {
    const id = Math.min(...this.waiting)
    this.waiting.delete(id)
    this.#released.add(String(id))
  }
}

export interface Played {
  readonly tree: NamedStream
  readonly items: readonly Item[]
  readonly stops: Stops
  /** Told of each call to the outside. */
  readonly called: (what: string) => void
  /** Whether an item is to be kept out of a stream, as if it had never been. */
  readonly isGone: (stream: string, id: number) => boolean
}

/** The sqlstate with which the store refuses a row. */
export function refusalOf({ tree, items }: Pick<Played, 'tree' | 'items'>, row: Row): string | undefined {
  const item = items.find(({ id }) => id === row.id)
  return item !== undefined && actAt(placesOf(tree), item, row.by)?.deed === 'refused' ? '23514' : undefined
}

export function planOf(played: Played): Stream<unknown> {
  return new Builder(played).build(
    stream('own')
      .from(source)
      .map(({ id }): Value => ({ id, copy: '' })),
    played.tree,
  )
}

type Context = ItemContext | AsyncItemContext | ProcessContext

class Builder {
  readonly #played: Played
  readonly #places: readonly string[]
  readonly #byId: ReadonlyMap<number, Item>

  constructor(played: Played) {
    this.#played = played
    this.#places = placesOf(played.tree)
    this.#byId = new Map(played.items.map((item) => [item.id, item]))
  }

  build(from: Stream<Value>, { name, before, dependency, pipe, after, triggered }: NamedStream): Stream<Value> {
    const stay = (on: Stream<Value>) => on.filter(({ id }) => !this.#played.isGone(name, id))
    const add = (on: Stream<Value>, steps: readonly Step[], where: string) =>
      steps.reduce((to, step, index) => this.#step(to, step, `${name}/${where} ${index}`), on)
    let built = add(dependency === undefined ? stay(from) : from, before, 'before')
    if (dependency !== undefined) {
      built = stay(built.dependsOn(segment(dependency.name, (on: Stream<Value>) => this.build(on, dependency))))
    }
    if (pipe !== undefined) built = built.process(this.#pipe(name, pipe))
    built = add(built, after, 'after')
    for (const each of triggered) {
      built = built.triggers(segment(each.name, (on: Stream<Value>) => this.build(on, each)))
    }
    return built
  }

  /** Does what the item does at a place, around what the callback does there anyway. */
  #around<T>(value: Value, place: string, work: () => T): T {
    const act = this.#actOf(value, place)
    if (act?.early === true) this.#act(act, value, place)
    const done = work()
    if (act?.early === false) this.#act(act, value, place)
    return done
  }

  #actOf({ id }: Value, place: string): Act | undefined {
    return actAt(this.#places, this.#byId.get(id) as Item, place)
  }

  #act(act: Act, value: Value, place: string): void {
    switch (act.deed) {
      case 'continue':
      case 'continue for all':
        signal.continue()
        break
      case 'ignore':
      case 'ignore for all':
        signal.ignore('asked for')
        break
      case 'throw':
        throw new Error('asked for')
      case 'swallow':
        try {
          signal.ignore()
        } catch {}
        break
      case 'break once':
      case 'error once':
        this.#played.stops.raise(act, value, place)
        break
      case 'refused':
        break
      default:
        act.deed satisfies never
    }
  }

  #step(on: Stream<Value>, step: Step, place: string): Stream<Value> {
    const write = (ctx: Context, to: typeof left, { id, copy }: Value, seen: string) =>
      ctx.write(to, { by: place, id, copy, seen })
    switch (step.kind) {
      case 'count': {
        const number = slot(place, () => 0)
        const list = slot(place, (): string[] => [])
        return on.tap((value, ctx) =>
          this.#around(value, place, () => {
            const scope = ctx.scope[step.scope]
            const listed = () => {
              const values = scope.get(list)
              values.push(`${value.id}${value.copy}`)
              return values.join()
            }
            write(ctx, left, value, step.as === 'list' ? listed() : String(scope.update(number, (n) => n + 1)))
          }),
        )
      }
      case 'async':
        return on.mapAsync(
          async (value, ctx) => {
            this.#played.called(`${place} ${value.id}${value.copy}`)
            for (let turn = value.id % 3; turn >= 0; turn--) await Promise.resolve()
            this.#around(value, place, () => write(ctx, right, value, 'async'))
            return value
          },
          { order: step.order, concurrency: step.concurrency },
        )
      case 'filter':
        return on.filter((value) => this.#around(value, place, () => passesFilter(step.by, value.id)))
      case 'twice':
        return on.flatMap((value) => this.#around(value, place, () => twice(value)))
      case 'to':
        return on.to(right, (value) => this.#around(value, place, () => ({ ...value, by: place, seen: 'to' })))
      case 'group':
        return on
          .batch({ max: step.max })
          .tap((group, ctx) => {
            for (const value of group) this.#around(value, place, () => {})
            ctx.write(left, { by: place, id: -1, copy: '', seen: group.map(({ id, copy }) => `${id}${copy}`).join() })
          })
          .flatten()
      default:
        return step satisfies never
    }
  }

  #pipe(name: string, random: RandomPipe) {
    const actOnAll = (values: readonly Value[], callback: 'prepare' | 'finish') => {
      for (const value of values) this.#around(value, `${name}/${callback}`, () => {})
    }
    const place = `${name}/process`
    const sum = slot(`${name} sum`, () => 0)
    const counted = counterOf(name, random)
    const work = (value: Value, ctx: ProcessContext): Value | undefined => {
      this.#around(value, place, () => {
        const total = random.prepare === 'sum' ? `sum ${ctx.scope.batch.get(sum)} ` : ''
        ctx.write(left, { by: place, ...value, seen: `${total}${counted(value, ctx)}` })
      })
      return hasResult(random, value.id) ? value : undefined
    }
    const process = async (value: Value, ctx: ProcessContext) => {
      const what = `${value.id}${value.copy}`
      await ctx.call('wait', [what], async (told) => this.#played.called(`${place} ${told}`))
      return work(value, ctx)
    }
    const prepare = (values: readonly Value[], ctx: RunContext) => {
      actOnAll(values, 'prepare')
      if (random.prepare === 'same') return values
      if (random.prepare === 'some') return values.filter(({ id }) => passesPrepare(random, id))
      if (random.prepare === 'first three') return values.slice(0, 3)
      if (random.prepare === 'others') return values.map((value) => ({ ...value }))
      if (random.prepare === 'twice') return values.flatMap(twice)
      for (const { id } of values) ctx.scope.batch.update(sum, (before) => before + id)
      return undefined
    }
    const finish = (results: readonly Value[], ctx: RunContext) => {
      actOnAll(results, 'finish')
      if (random.finish === 'looks') ctx.scope.context.get(shared)
      else {
        const seen = results.map(({ id, copy }) => `${id}${copy}`).join()
        ctx.write(right, { by: `${name}/finish`, id: -1, copy: '', seen })
      }
    }
    const callbacks = {
      ...(random.prepare === 'none' ? {} : { prepare }),
      process:
        random.mode === 'async'
          ? process
          : random.mode === 'mixed'
            ? (value: Value, ctx: ProcessContext) => (value.id % 2 === 0 ? work(value, ctx) : process(value, ctx))
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
}

const twice = ({ id, copy }: Value): Value[] => [
  { id, copy: `${copy}a` },
  { id, copy: `${copy}b` },
]

/** Of all streams. */
const shared = slot('shared', () => 0)

function counterOf(name: string, { counts }: RandomPipe): (value: Value, ctx: ProcessContext) => string {
  const number = slot(`${name} number`, () => 0)
  const list = slot(`${name} list`, (): string[] => [])
  return ({ id, copy }, { scope }) => {
    switch (counts) {
      case 'nothing':
        return ''
      case 'number':
        return String(scope.batch.update(number, (before) => before + 1))
      case 'list': {
        const values = scope.batch.get(list)
        values.push(`${id}${copy}`)
        return values.join()
      }
      case 'context':
        return String(scope.context.update(shared, (before) => (before * 2 + id) % 100_003))
      default:
        return counts satisfies never
    }
  }
}
