/** What a random plan without groups gives, by plain loops: items one after the other, each with all its paths. */
import {
  acts,
  hasBarrier,
  type Item,
  type RandomPlan,
  type Step,
  side,
  sinks,
  unopened,
  type Value,
  written,
} from './_randomPlan.ts'

export interface Modelled {
  readonly rows: ReadonlyMap<string, readonly Value[]>
  readonly outcomes: readonly string[]
}

export function modelOf(plan: RandomPlan, items: readonly Item[]): Modelled {
  const rows = new Map<string, Value[]>(sinks.map(({ name }) => [name, []]))
  const outcomes = items.map((item) => {
    const run = new ItemRun(plan, item)
    const outcome = run.run()
    if (outcome === 'ignored' || outcome === 'collected') return outcome
    for (const { table, value } of run.rows) rows.get(table)?.push(value)
    return outcome
  })
  return { rows, outcomes }
}

class Undone {
  readonly outcome: string
  constructor(outcome: string) {
    this.outcome = outcome
  }
}

class ItemRun {
  readonly rows: { table: string; value: Value }[] = []
  readonly #plan: RandomPlan
  readonly #item: Item
  #outcome = 'filtered'
  #counted = 0

  constructor(plan: RandomPlan, item: Item) {
    this.#plan = plan
    this.#item = item
  }

  run(): string {
    const { prefix, leaves } = this.#plan
    try {
      this.#follow({ id: this.#item.id, path: '' }, prefix, 0, (value) => {
        let number = prefix.length
        for (const leaf of leaves) {
          this.#follow(value, leaf, number, (end) => {
            this.rows.push({ table: written.name, value: end })
            this.#outcome = 'done'
          })
          number += leaf.length
        }
      })
    } catch (thrown) {
      if (thrown instanceof Undone) return thrown.outcome
      throw thrown
    }
    return this.#outcome
  }

  /** What the item does at a step: whether its path goes on. */
  #acts(number: number): boolean {
    const { deed } = this.#item
    if (!acts(this.#plan, this.#item, number)) return true
    if (deed === 'ignore') throw new Undone('ignored')
    if (deed === 'throw' || deed === 'swallow') throw new Undone('collected')
    if (deed !== 'continue') return true
    if (this.#outcome === 'filtered') this.#outcome = 'continued'
    return false
  }

  #follow(value: Value, steps: readonly Step[], number: number, end: (value: Value) => void): void {
    const [step, ...behind] = steps
    if (step === undefined) {
      end(value)
      return
    }
    const { id } = this.#item
    const longer = (suffix: string): Value => ({ ...value, path: `${value.path}${suffix}` })
    const next = (suffix: string) => this.#follow(longer(suffix), behind, number + 1, end)
    const write = ({ name }: { name: string }, suffix: string) => this.rows.push({ table: name, value: longer(suffix) })
    switch (step.kind) {
      case 'map':
        if (this.#acts(number)) next('m')
        break
      case 'tap':
        if (this.#acts(number)) next('')
        break
      case 'write':
      case 'writeUnopened':
        write(step.kind === 'write' ? side : unopened, 'w')
        if (this.#acts(number)) next('')
        break
      case 'count':
        if (this.#acts(number)) next(hasBarrier(this.#plan) ? 'c' : `c${++this.#counted}`)
        break
      case 'to':
        if (!this.#acts(number)) break
        write(side, 't')
        next('')
        break
      case 'filter':
        if (this.#acts(number) && id % (step.by + 1) !== 0) next('')
        break
      case 'flatMap':
        for (let ordinal = 0; ordinal < (id + step.by) % 4; ordinal++) {
          if (ordinal === 1 && !this.#acts(number)) break
          next(String(ordinal))
        }
        break
      case 'branch':
        if (this.#acts(number)) next(id % (step.by + 1) === 0 ? 'y' : 'n')
        break
      case 'mapAsync':
        write(side, 'A')
        if (this.#acts(number)) next('a')
        break
      case 'batch':
        throw new Error('groups have no model')
      default:
        step satisfies never
    }
  }
}
