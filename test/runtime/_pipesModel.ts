/**
 * What a random tree of streams gives, by plain loops over the items of one batch: those that fall in a stream are left out
 * of it from the beginning.
 */
import type { Value } from './_pipesPlan.ts'
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

export interface Modelled {
  /** Of all tables. */
  readonly rows: string[]
  /** `own 3 done`, for each stream that an item comes to. */
  readonly outcomes: string[]
}

type Outcome = 'ignored' | 'collected'
type Reached = 'done' | 'continued' | 'filtered'

class Fell {
  readonly outcome: Outcome
  constructor(outcome: Outcome) {
    this.outcome = outcome
  }
}

/** A value that goes on though its item has fallen: to the stream that its own depends on, and without a trace. */
interface Moving extends Value {
  readonly ghost: boolean
}

/** @param batches the items as they were committed together */
export function modelOf(tree: NamedStream, batches: readonly (readonly Item[])[]): Modelled {
  const runs = batches.map((items) => {
    const run = new Run(tree, items)
    run.stream(
      tree,
      items.map(({ id }) => ({ id, copy: '', ghost: false })),
    )
    return run
  })
  return {
    rows: runs.flatMap(({ rows }) => rows),
    outcomes: runs.flatMap(({ outcomes }) => Array.from(outcomes, ([of, outcome]) => `${of} ${outcome}`)),
  }
}

class Run {
  readonly rows: string[] = []
  readonly outcomes = new Map<string, Outcome | Reached>()
  readonly #tree: NamedStream
  readonly #items: readonly Item[]
  readonly #places: readonly string[]
  readonly #counts = new Map<string, string[]>()
  #shared = 0
  /** Of an item that is tried alone: why it falls when nothing else makes it. */
  #refused = false

  constructor(tree: NamedStream, items: readonly Item[]) {
    this.#tree = tree
    this.#items = items
    this.#places = placesOf(tree)
  }

  /** All of a stream: what it depends on, itself, and what it triggers. */
  stream(stream: NamedStream, values: readonly Moving[]): void {
    const { name, before, dependency, triggered } = stream
    const fallen = new Map<number, Outcome>()
    for (const id of new Set(values.map((value) => value.id))) {
      const outcome = this.#fateOf(
        stream,
        values.filter((value) => value.id === id),
      )
      if (outcome !== undefined) fallen.set(id, outcome)
      this.outcomes.set(`${name} ${id}`, outcome ?? 'filtered')
    }
    let on = values.map((value) => ({ ...value, ghost: fallen.has(value.id) }))
    on = this.#steps(name, before, 'before', on)
    if (dependency !== undefined) {
      this.stream(
        dependency,
        on.map((value) => ({ ...value, ghost: false })),
      )
    }
    const results = this.#behind(
      stream,
      on.filter(({ ghost }) => !ghost),
    )
    for (const value of results) this.#reach(name, value, 'done')
    for (const each of triggered) if (results.length > 0) this.stream(each, results)
  }

  /** The pipe and the steps behind it. */
  #behind({ name, pipe, after }: NamedStream, on: readonly Moving[]): readonly Moving[] {
    return this.#steps(name, after, 'after', pipe === undefined ? on : this.#pipe(name, pipe, on))
  }

  /** Why an item falls in a stream. It comes to the same places whatever other items there are. */
  #fateOf(stream: NamedStream, values: readonly Moving[]): Outcome | undefined {
    const alone = new Run(this.#tree, this.#items)
    try {
      const on = alone.#steps(stream.name, stream.before, 'before', values)
      alone.#behind(stream, on)
    } catch (thrown) {
      if (thrown instanceof Fell) return thrown.outcome
      throw thrown
    }
    return alone.#refused ? 'collected' : undefined
  }

  #steps(name: string, steps: readonly Step[], where: string, values: readonly Moving[]): Moving[] {
    return steps.reduce<Moving[]>(
      (on, step, index) => on.flatMap((value) => this.#step(step, `${name}/${where} ${index}`, name, value)),
      [...values],
    )
  }

  #step(step: Step, place: string, name: string, value: Moving): Moving[] {
    const act = this.#actAt(place, value)
    const goesOn = (work: () => void = () => {}): boolean => {
      if (!this.#acts(act, value, name, true)) return false
      if (!value.ghost) work()
      return this.#acts(act, value, name, false)
    }
    switch (step.kind) {
      case 'count':
        return goesOn(() => {
          const of = step.scope === 'item' ? `${place} ${value.id}` : place
          const counts = this.#counts.get(of) ?? []
          this.#counts.set(of, counts)
          counts.push(`${value.id}${value.copy}`)
          this.#write(place, value, step.as === 'list' ? counts.join() : String(counts.length), act)
        })
          ? [value]
          : []
      case 'async':
        return goesOn(() => this.#write(place, value, 'async', act)) ? [value] : []
      case 'to':
        // A row that is being made when its item goes no further is not written.
        if (act?.deed === 'continue') return goesOn() ? [value] : []
        return goesOn(() => this.#write(place, value, 'to', act)) ? [value] : []
      case 'filter':
        return goesOn() && passesFilter(step.by, value.id) ? [value] : []
      case 'twice':
        return goesOn() ? twice(value) : []
      case 'group':
        throw new Error('groups have no model')
      default:
        return step satisfies never
    }
  }

  #pipe(name: string, pipe: RandomPipe, given: readonly Moving[]): Moving[] {
    if (given.length === 0) return []
    if (pipe.prepare !== 'none')
      for (const value of given) this.#acts(this.#actAt(`${name}/prepare`, value), value, name)
    const place = `${name}/process`
    const total = given.reduce((sum, { id }) => sum + id, 0)
    const counted: string[] = []
    const results: Moving[] = []
    for (const value of preparedBy(pipe, given)) {
      const act = this.#actAt(place, value)
      if (!this.#acts(act, value, name, true)) continue
      counted.push(`${value.id}${value.copy}`)
      if (pipe.counts === 'context') this.#shared = (this.#shared * 2 + value.id) % 100_003
      const seen = { nothing: '', number: counted.length, list: counted.join(), context: this.#shared }[pipe.counts]
      this.#write(place, value, `${pipe.prepare === 'sum' ? `sum ${total} ` : ''}${seen}`, act)
      if (!this.#acts(act, value, name, false)) continue
      if (hasResult(pipe, value.id)) results.push(value)
      else this.#reach(name, value, 'done')
    }
    if (pipe.finish !== 'none') {
      for (const value of results) this.#acts(this.#actAt(`${name}/finish`, value), value, name)
    }
    if (pipe.finish === 'writes') {
      this.rows.push(`${name}/finish -1 ${results.map(({ id, copy }) => `${id}${copy}`).join()}`)
    }
    return results
  }

  #actAt(place: string, { id }: Value): Act | undefined {
    return actAt(this.#places, this.#items.find((item) => item.id === id) as Item, place)
  }

  /**
   * Does what an item does at a place.
   *
   * @param early whether it is asked for what comes before the work, or after; both when not given
   * @returns whether the path goes on
   */
  #acts(act: Act | undefined, value: Moving, name: string, early?: boolean): boolean {
    if (act === undefined || (early !== undefined && act.early !== early)) return true
    switch (act.deed) {
      case 'ignore':
        if (value.ghost) return false
        throw new Fell('ignored')
      case 'throw':
      case 'swallow':
        if (value.ghost) return false
        throw new Fell('collected')
      case 'continue':
        this.#reach(name, value, 'continued')
        return false
      case 'continue for all':
      case 'ignore for all':
        throw new Error('what falls for others has no model')
      case 'refused':
      case 'break once':
      case 'error once':
        return true
      default:
        return act.deed satisfies never
    }
  }

  #write(place: string, { id, copy }: Value, seen: string, act: Act | undefined): void {
    if (act?.deed === 'refused') this.#refused = true
    this.rows.push(`${place} ${id}${copy} ${seen}`)
  }

  #reach(name: string, { id, ghost }: Moving, reached: Reached): void {
    if (ghost) return
    const of = `${name} ${id}`
    const before = this.outcomes.get(of)
    if (before === 'filtered' || (before === 'continued' && reached === 'done')) this.outcomes.set(of, reached)
  }
}

const twice = (value: Moving): Moving[] => [
  { ...value, copy: `${value.copy}a` },
  { ...value, copy: `${value.copy}b` },
]

function preparedBy(pipe: RandomPipe, given: readonly Moving[]): readonly Moving[] {
  if (pipe.prepare === 'twice') return given.flatMap(twice)
  return given.filter(({ id }) => passesPrepare(pipe, id))
}
