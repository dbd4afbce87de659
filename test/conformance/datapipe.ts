/**
 * Scenarios that were recorded by running datapipe, the system that pipes, signals and scopes come from
 * (test/fixtures/datapipe.json), and the plans that play them. What a scenario's words mean:
 *
 * - `ctx` adds the item's number to the total in the context; `save T` writes a row with the number and a tag, the
 *   pipeline's name by default; `save_mid` writes a row that triggered pipelines are handed as a result; `save_unique K`
 *   writes a row with a key that may be there once;
 * - `raise S` raises a signal, or an exception; `return` gives the item, the row of `save_mid`, or nothing.
 */
import { readFileSync } from 'node:fs'
import {
  json,
  type ProcessContext,
  type Segment,
  type Stream,
  segment,
  signal,
  slot,
  stream,
  table,
  topic,
} from '../../src/index.ts'

interface Program {
  readonly steps?: readonly string[]
  readonly overrides?: Readonly<Record<string, readonly string[]>>
  /** Numbers that `prepare` lets through. */
  readonly prepare_filter?: readonly number[]
  /** What rows multiply the number by: stands for changed code. */
  readonly mult?: number
}

export interface ScenarioRun {
  readonly pipeline?: 'main' | 'up' | 'withdep'
  /** Numbers of the items, where they are not those of the scenario. */
  readonly items?: readonly number[]
  readonly eval?: boolean
  readonly programs: Readonly<Record<string, Program>>
  readonly expected: {
    /** `number tag`, in the order of their ids. */
    readonly rows: readonly string[]
    readonly mid?: readonly string[]
    readonly unique?: readonly string[]
    readonly errors: readonly string[]
    readonly tracks: readonly string[]
    readonly calls: readonly string[]
    readonly total?: number
  }
}

export interface Scenario {
  readonly name: string
  readonly about: string
  readonly items: readonly number[]
  readonly runs: readonly ScenarioRun[]
}

export const scenarios: readonly Scenario[] = JSON.parse(
  readFileSync(new URL('../fixtures/datapipe.json', import.meta.url), 'utf8'),
)

export interface Item {
  readonly number: number
}

export const items = topic('items', json<Item>())
export const results = table<{ number: number; tag: string }>('result_items', { track: true })
export const mids = table<{ number: number; src: number }>('mid_items', { track: true })
export const uniques = table<{ key: string }>('unique_items', { track: true })
const total = slot('total', () => 0)

/** What playing a scenario has shown beside rows. */
export class Notes {
  calls: string[] = []
  total: number | undefined
}

/** The plan of a run. @param from the topic of its items */
export function planOf(
  { pipeline = 'main', programs }: Omit<ScenarioRun, 'expected'>,
  notes: Notes,
  from = items,
): Stream<unknown> {
  const source = stream(pipeline).from(from)
  const program = (name: string) => pipe(name, programs[name] ?? {}, notes)
  const part = (name: string): Segment<Item, Item> =>
    segment(name, (given: Stream<Item>) => given.process(program(name)))
  // Sees the context when everything else is through, and makes nothing of it.
  const observer = segment('observer', (given: Stream<Item>) =>
    given.process({
      process: (item) => item,
      finish: (_, ctx) => {
        notes.total = ctx.scope.context.get(total)
      },
    }),
  )
  switch (pipeline) {
    case 'up':
      return source.process(program('up')).triggers(part('down')).triggers(part('down2')).triggers(observer)
    case 'withdep':
      return source.dependsOn(part('pre')).process(program('withdep')).triggers(observer)
    default:
      return source.process(program('main')).triggers(observer)
  }
}

function pipe(name: string, program: Program, notes: Notes) {
  const { overrides = {}, prepare_filter: kept, mult = 1 } = program
  const usual = program.steps ?? (name === 'main' ? ['super', 'ctx', 'save', 'return item'] : ['super'])
  // What comes first begins a pass; of several, the last one counts.
  const isFirst = name !== 'withdep' && !name.startsWith('down')
  return {
    prepare(given: readonly Item[]) {
      if (isFirst) notes.calls = []
      notes.calls.push(`${name}.prepare[${given.map(({ number }) => number).join(', ')}]`)
      return given.filter(({ number }) => kept?.includes(number) ?? true)
    },
    process(item: Item, ctx: ProcessContext): Item | undefined {
      notes.calls.push(`${name}.process(${item.number})`)
      for (const step of overrides[item.number] ?? usual) {
        const result = execute(step, item, ctx, { name, mult })
        if (result !== undefined) return result
      }
      return undefined
    },
    finish() {
      notes.calls.push(`${name}.finish`)
    },
  }
}

/** @returns the result, when the step gives one */
function execute(
  line: string,
  item: Item,
  ctx: ProcessContext,
  { name, mult }: { name: string; mult: number },
): Item | undefined {
  const [step = '', argument, given] = line.split(' ')
  const { number } = item
  switch (step) {
    case 'super':
      return undefined
    case 'ctx':
      ctx.scope.context.update(total, (sum) => sum + number)
      return undefined
    case 'save':
    case 'save_direct':
      ctx.write(results, { number: number * mult, tag: argument ?? name })
      return undefined
    case 'save_mid':
      ctx.write(mids, { number: number * 10, src: number })
      return undefined
    case 'save_unique':
      ctx.write(uniques, { key: argument ?? '' })
      return undefined
    case 'return':
      return argument === 'item' ? item : argument === 'mid' ? { number: number * 10 } : undefined
    case 'raise':
      return raise(argument ?? '', given === 'item' ? item : undefined)
    default:
      throw new Error(`a scenario's step that means nothing here: ${line}`)
  }
}

function raise(kind: string, result: Item | undefined): Item | undefined {
  switch (kind) {
    case 'ignore':
      return signal.ignore()
    case 'break':
      return signal.break()
    case 'error':
      return signal.error()
    case 'continue':
      // The original's argument is a result; here a result is what is returned.
      return result ?? signal.continue()
    default:
      throw Object.assign(new Error(kind), { name: 'ValueError' })
  }
}
