/**
 * The law of running again: whatever a plan has made of its items, once they are run again with another plan, in whatever batches,
 * interrupted wherever, while the service goes on behind them, everything is as if each item had been run once, by the plan that
 * counts for it: the new one where the item stands, in each stream, and else the old one.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { json, type ProcessContext, type Stream, segment, signal, stream, table, topic } from '../../../src/index.ts'
import { createMemoryBroker } from '../../../src/testing/memoryBroker.ts'
import { freshDatabase } from '../../support/services.ts'
import { catchUp, reparse, serve } from './_reparse.ts'

const tables = ['flat', 'totals', 'firsts'] as const
const database = await freshDatabase(`
  create table flat (n integer not null, stream text not null);
  create table totals (k text primary key, n integer, low integer, high integer, last text, first text);
  create table firsts (k text primary key, n integer);
`)

const flat = table<{ n: number; stream: string }>('flat', { track: true })
const totals = table<{ k: string; n: number; low: number; high: number; last: string; first: string }>('totals', {
  key: 'k',
  onConflict: { n: 'add', low: 'min', high: 'max', first: 'keep' },
  track: true,
})
const firsts = table<{ k: string; n: number }>('firsts', { key: 'k', onConflict: 'nothing', track: true })

/** What an item does in a stream: rows, of which each is for one of the tables, and how it ends. */
interface Acts {
  readonly rows: readonly { readonly table: number; readonly k: string; readonly n: number }[]
  readonly end: 'done' | 'continue' | 'none' | 'ignore' | 'throw' | 'filter'
}

const streams = ['before', 'items', 'after'] as const
type Program = Readonly<Record<(typeof streams)[number], Acts>>

interface Item {
  readonly id: number
  readonly programs: readonly Program[]
}

const items = topic('items', json<Item>())

/** The plan of a version: what the items' programs of that version say. */
function planOf(version: number, isAsync: boolean): Stream<Item> {
  const through = (given: Stream<Item>, name: keyof Program) => {
    const prepare = (all: readonly Item[]) => all.filter((item) => item.programs[version]?.[name].end !== 'filter')
    const process = (item: Item, ctx: ProcessContext) => run(item, name, version, ctx)
    return isAsync
      ? given.process({ prepare, process: async (item, ctx) => process(item, ctx) })
      : given.process({ prepare, process })
  }
  const part = (name: 'before' | 'after') => segment(name, (given: Stream<Item>) => through(given, name))
  return through(stream('items').from(items).dependsOn(part('before')), 'items').triggers(part('after'))
}

function run(item: Item, name: keyof Program, version: number, ctx: ProcessContext): Item | undefined {
  const acts = item.programs[version]?.[name]
  for (const { table: at, k, n } of acts?.rows ?? []) {
    if (at === 0) ctx.write(flat, { n, stream: name })
    else if (at === 1) ctx.write(totals, { k, n, low: n, high: n, last: `${name} ${n}`, first: `${name} ${n}` })
    else ctx.write(firsts, { k, n })
  }
  if (acts?.end === 'ignore') return signal.ignore()
  if (acts?.end === 'throw') throw new Error('falls')
  if (acts?.end === 'continue') return signal.continue()
  return acts?.end === 'none' ? undefined : item
}

const acts = fc.record<Acts>({
  rows: fc.array(
    fc.record({ table: fc.nat({ max: 2 }), k: fc.constantFrom('a', 'b', 'c'), n: fc.integer({ min: -9, max: 9 }) }),
    { maxLength: 3 },
  ),
  end: fc.constantFrom('done', 'done', 'done', 'continue', 'none', 'ignore', 'throw', 'filter'),
})
const program = fc.record<Program>({ before: acts, items: acts, after: acts })

const stands = ({ end }: Acts) => end !== 'ignore' && end !== 'throw'
const results = ({ end }: Acts) => end === 'done'
const nothing: Acts = { rows: [], end: 'done' }
const madeBy = (made: Acts): Acts =>
  stands(made) && made.end !== 'filter' ? { rows: made.rows, end: 'done' } : nothing

/** What a plan alone makes of an item. */
function made({ before, items: own, after }: Program): Program {
  return { before: madeBy(before), items: madeBy(own), after: results(own) ? madeBy(after) : nothing }
}

/** What is there in the end. */
function lastly(first: Program, again: Program): Program {
  const old = made(first)
  const now = made(again)
  return {
    before: stands(again.before) ? now.before : old.before,
    items: stands(again.items) ? now.items : old.items,
    after: !stands(again.items) || (results(again.items) && !stands(again.after)) ? old.after : now.after,
  }
}

/** Streams in which an item waits in the collector. */
function collected(first: Program, again: Program | undefined, offset: number): string[] {
  const threw = (of: Program, name: keyof Program) =>
    of[name].end === 'throw' && (name !== 'after' || results(of.items))
  const replaced = (name: keyof Program) =>
    again !== undefined &&
    (name === 'before'
      ? stands(again.before)
      : stands(again.items) && (name === 'items' || !results(again.items) || stands(again.after)))
  return streams
    .filter((name) => (again !== undefined && threw(again, name)) || (threw(first, name) && !replaced(name)))
    .map((name) => `${offset} ${name}`)
}

async function tablesNow(errorsOf: string) {
  const found: Record<string, readonly unknown[]> = {}
  for (const name of tables) {
    const columns = name === 'flat' ? 'n, stream' : '*'
    found[name] = await database.query(`select ${columns} from ${name} order by 1, 2`)
  }
  const errors = await database.query<{ name: string }>(
    `select record_offset || ' ' || stream as name from millrace.errors
     where app = $1 and state <> 'done' order by record_offset, id`,
    [errorsOf],
  )
  return { found, errors: errors.map(({ name }) => name).sort() }
}

let runs = 0

function brokerWith(given: readonly (readonly Program[])[]) {
  const broker = createMemoryBroker({ chunkRecords: 4 })
  broker.createTopic('items', 1)
  for (const programs of given) append(broker, programs)
  return broker
}

let ids = 0

function append(broker: ReturnType<typeof createMemoryBroker>, programs: readonly Program[]): void {
  const item: Item = { id: ++ids, programs }
  broker.append('items', 0, { key: null, value: Buffer.from(JSON.stringify(item)), headers: [], timestamp: 0 })
}

it('leaves what one run would leave', { timeout: 400_000 }, async () => {
  const size = fc.integer({ min: 1, max: 6 })
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(program, program), { minLength: 1, maxLength: 10 }),
      fc.array(program, { maxLength: 3 }),
      fc.record({
        first: size,
        again: size,
        stopAfter: fc.option(fc.integer({ min: 1, max: 3 })),
        isAsync: fc.boolean(),
      }),
      async (given, later, { first, again, stopAfter, isAsync }) => {
        const group = `law-${++runs}`
        const clear = () => database.query(`truncate ${tables.join(', ')}`)
        await clear()
        const scratch = [...given.map(([before, after]) => lastly(before, after)), ...later.map(made)]
        await catchUp(planOf(0, isAsync), {
          broker: brokerWith(scratch.map((one) => [one])),
          url: database.url,
          group: `${group}-scratch`,
        })
        const expected = await tablesNow(`${group}-scratch`)
        expect(expected.errors).toEqual([])
        await database.query('truncate millrace.contributions')

        await clear()
        const broker = brokerWith(given)
        const surroundings = { broker, url: database.url, group }
        const app = await serve(planOf(0, isAsync), { ...surroundings, maxItems: first })
        await app.caughtUp()
        let stopping = stopAfter ?? 0
        const running = async (): Promise<void> => {
          const stop = new AbortController()
          const { state } = await reparse(
            planOf(1, isAsync),
            { ...surroundings, maxItems: again },
            {},
            {
              signal: stop.signal,
              onProgress: ({ items: count }) => {
                if (count > 0 && stopping-- === 1) stop.abort()
              },
            },
          )
          if (state === 'stopped') await running()
        }
        const isReparsed = running()
        // The reparse may begin before them, or behind.
        for (const programs of later) append(broker, [programs, programs])
        await isReparsed
        await app.caughtUp()
        await app.stop()

        const found = await tablesNow(group)
        expect(found.found).toEqual(expected.found)
        const errors = [
          ...given.flatMap(([before, after], offset) => collected(before, after, offset)),
          ...later.flatMap((one, index) => collected(one, undefined, given.length + index)),
        ]
        expect(found.errors).toEqual(errors.sort())
        await database.query('truncate millrace.contributions')
        expect(
          await database.query(`select * from millrace.progress where app = $1 and stream <> 'items'`, [group]),
        ).toEqual([])
      },
    ),
    { numRuns: Number(process.env.MILLRACE_LAW_RUNS ?? 60) },
  )
})
