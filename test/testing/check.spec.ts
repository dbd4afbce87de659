import { setTimeout as sleep } from 'node:timers/promises'
import * as fc from 'fast-check'
import { describe, expect, expectTypeOf, test, vi } from 'vitest'
import { table } from '../../sinks/table.ts'
import { avro, json, text } from '../../src/codecs/index.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import type { CommitRequest } from '../../src/core/store.ts'
import { type Stream, stream } from '../../src/stream.ts'
import { PlanLaws } from '../../src/testing/_planLaws.ts'
import type { Happening } from '../../src/testing/_scene.ts'
import { checkOver } from '../../src/testing/check.ts'
import { type CheckOptions, check, MemoryStore, outcomes, records, rows } from '../../src/testing/index.ts'
import { topic } from '../../src/topic.ts'
import { base, input, ledger, type Payment, payments, tenSteps, totals } from './_payments.ts'

const runs = { input, numRuns: 60, seed: 7 }

/** Ships what it has not seen since it was made. */
function onceSinceStart(): Stream<Payment> {
  const seen = new Set<string>()
  return base.filter(({ account }) => !seen.has(account) && seen.add(account) !== undefined).to(ledger)
}

const failure = async (run: Promise<void>): Promise<string> =>
  run.then(
    () => 'it passed',
    (error: Error) => error.message,
  )

/** The failure of the code that a failure prints, pasted. */
async function pasted(message: string, plan: Parameters<typeof check>[0], options: CheckOptions): Promise<string> {
  const [, code] = /Run it again with: (.*)$/.exec(message) ?? []
  expect(code).toMatch(/^await check\(plan, \{ \.\.\.options, replay: '[\w:-]+' \}\)$/)
  const run = new Function('check', 'plan', 'options', `return (async () => { ${code} })()`)
  return failure(run(check, plan, options) as Promise<void>)
}

/** What is told of a failure, without how it was found. */
const story = (message: string) => message.split('\n').filter((line) => !/^(Found |It was replayed)/.test(line))

describe('check', { timeout: 60_000 }, () => {
  test('passes a plan whose rows depend on its records alone', async () => {
    await check(tenSteps, runs)
  })

  test('names the steps to which it matters where batches are cut', async () => {
    const sum = slot('sum', () => 0)
    const summed = base
      .map((payment) => payment)
      .process({
        process: (payment, ctx) => ({ ...payment, cents: ctx.scope.batch.update(sum, (n) => n + payment.cents) }),
        finish: () => {},
      })
      .named('summed')
      .to(ledger)
    expect(story(await failure(check(summed, runs)))).toEqual(
      expect.arrayContaining([
        'What depends on where batches are cut:',
        '  summed: finish sees the results of one batch together',
        '  summed: it uses ctx.scope.batch, empty at the beginning of each batch; what is kept beyond it is state: stateful()',
      ]),
    )
  })

  test('runs as many stories as it is told, with records and with happenings of every kind', async () => {
    const kinds: Record<Happening['kind'], number> = {
      arrive: 0,
      kill: 0,
      'kill at commit': 0,
      'kill when sending': 0,
      freeze: 0,
      join: 0,
      'lose database': 0,
      pass: 0,
    }
    let processes = 0
    const processed = new Set<number>()
    const counted = () => {
      const number = ++processes
      return base.to(topic('counted', text()), () => 'seen').tap(() => void processed.add(number))
    }
    const told = vi.spyOn(PlanLaws.prototype, 'story')
    try {
      await check(counted, { ...runs, numRuns: 200 })
      const stories = told.mock.calls.map(([story]) => story)
      expect(stories.length).toBe(200)
      expect(stories.filter(({ samples }) => samples.length > 0).length).toBeGreaterThan(150)
      for (const { kind } of stories.flatMap(({ happenings }) => happenings)) kinds[kind]++
    } finally {
      told.mockRestore()
    }
    for (const [kind, times] of Object.entries(kinds)) expect(times, kind).toBeGreaterThan(20)
    // Each story is played twice, undisturbed and as it is, and heirs of killed processes work too.
    expect(processed.size).toBeGreaterThan(450)
  })

  test('compares with a model', async () => {
    const doubled = base.map(({ account, cents }) => ({ account, cents: cents * 2 })).to(ledger)
    const model = (factor: number): Partial<CheckOptions> => ({
      model: (given) =>
        rows(
          ledger,
          given(payments).map(({ account, cents }) => ({ account, cents: cents * factor })),
        ),
    })
    await check(doubled, { ...runs, ...model(2) })
    expect(story(await failure(check(doubled, { ...runs, ...model(3) }))).slice(0, -1)).toEqual([
      'law broken: model: the rows are those of the model',
      'with one record, in one partition:',
      `  1. payments[0] key "a" { account: 'a', cents: 1 }`,
      'The rows of table "ledger" differ:',
      `  missing: { account: 'a', cents: 3 }`,
      `  unexpected: { account: 'a', cents: 2 }`,
    ])
  })

  test('compares outcomes with a model', async () => {
    const picky = base
      .filter(({ cents }) => cents > 0)
      .tap(({ cents }) => {
        if (cents === 5) throw new Error('five')
      })
      .to(ledger)
    const passing = ({ cents }: Payment) => cents > 0 && cents !== 5
    const told = ({ cents }: Payment) => (cents === 0 ? 'filtered' : 'done')
    const options: CheckOptions = {
      ...runs,
      model: (given) => [rows(ledger, given(payments).filter(passing)), outcomes(payments, given(payments).map(told))],
    }
    const message = await failure(check(picky, options))
    expect(message).toContain('law broken: model: the outcomes are those of the model')
    expect(message).toContain("it is:        'collected'\n  it has to be: 'done'")
  })

  test('tells rows that the model does not name', async () => {
    const message = await failure(
      check(base.to(ledger).to(totals), { ...runs, model: (given) => rows(ledger, given(payments)) }),
    )
    expect(message).toContain('The rows of table "totals" differ:\n  unexpected: ')
  })

  test('finds state of the module, with the one record that shows it', async () => {
    const seen = new Set<string>()
    const once = base.filter(({ account }) => !seen.has(account) && seen.add(account) !== undefined).to(ledger)
    const message = await failure(check(once, runs))
    expect(story(message).slice(0, -1)).toEqual([
      'law broken: same twice: the same records give the same, whenever they are processed',
      'with one record, in one partition:',
      expect.stringMatching(/^ {2}1\. payments\[0\] key "[abc]" \{ account: '[abc]', cents: 0 \}$/),
      'The rows of table "ledger" differ:',
      expect.stringMatching(/^ {2}missing: \{ account: '[abc]', cents: 0 \}$/),
      'Something outside of the stream decides: a variable that outlives the run, the time, chance.',
      'What belongs to a process may stand beside the plan if a function makes both: check(() => plan, …).',
      "For a plan that is meant so: { except: ['same twice'] }.",
    ])
  })

  test('makes the plan of a function anew for each process: what a restart forgets shows', async () => {
    const message = await failure(check(onceSinceStart, runs))
    expect(message).toContain('law broken: replay idempotence: processes that die, join and lose commits do not show')
    expect(message).toMatch(/with (one record|2 records), in one partition:/)
    expect(message).toMatch(/(missing|unexpected): \{ account: '[abc]', cents: 0 \}/)
  })

  test('finds rows that depend on where batches are cut', async () => {
    const groups = table<{ size: number }>('groups')
    const counted = base
      .batch({ max: 3 })
      .map((group) => ({ size: group.length }))
      .to(groups)
    expect(await failure(check(counted, runs))).toContain('law broken: chunk invariance')
    // The other laws hold where groups are not of several keys.
    await check(counted, { ...runs, except: ['chunk invariance', 'key locality'] })
  })

  test('finds calls for one key that overlap, and an option excuses them', async () => {
    const hasty = base.mapAsync(async (payment) => payment, { order: 'none' }).to(ledger)
    const message = await failure(check(hasty, runs))
    expect(message).toContain('law broken: order per key')
    expect(message).toMatch(/Step "mapAsync" has two calls for the key "[abc]" at once/)
    expect(message).toContain("For a plan that is meant so: { except: ['order per key'] }.")
    await check(hasty, { ...runs, except: ['order per key'] })
  })

  test('lets asynchronous calls take their time: what they do to each other shows', async () => {
    const racing = () => {
      let last = 0
      return base
        .mapAsync(
          async (payment) => {
            const before = last
            last = payment.cents
            return { ...payment, cents: before }
          },
          { order: 'none' },
        )
        .to(ledger)
    }
    expect(await failure(check(racing, { ...runs, except: ['order per key'] }))).toContain('law broken')
    const slow = base.mapAsync(async (payment) => sleep(1, payment), { timeoutMs: 50 }).to(ledger)
    await check(slow, { ...runs, numRuns: 10, maxRecords: 5 })
  })

  test('finds rows of a key that come in another order', async () => {
    const turns = table<{ turn: number }>('turns')
    const taking = () => {
      let calls = 0
      return base.mapAsync(async () => ({ turn: calls++ })).to(turns)
    }
    const message = await failure(check(taking, { ...runs, except: ['key locality', 'undo leaves no trace'] }))
    expect(message).toContain('law broken: order per key: what the records of a key give comes in their order')
    expect(message).toMatch(
      /The rows that key "[abc]" gives in table "turns" come in another order:\n {2}it is: {8}\{ turn: \d \}.*\n {2}it has to be: \{ turn: \d \}/,
    )
  })

  test('finds errors and outcomes that differ', async () => {
    const undecided = () => {
      let first = true
      return base.filter(() => {
        const passes = first
        first = false
        return passes
      })
    }
    const mood = () => {
      let first = true
      return base.tap(({ cents }) => {
        if (cents > 5 && first) {
          first = false
          throw new Error('not the first')
        }
      })
    }
    expect(await failure(check(mood, runs))).toMatch(
      /The error collector differs:\n {2}(missing|unexpected): \{ error: 'not the first', record: \d, step: 'tap' \}/,
    )
    expect(await failure(check(undecided, runs))).toMatch(
      /Record \d is (done|filtered); it has to be (done|filtered)\./,
    )
  })

  test('finds records that change what other keys give', async () => {
    const previous = () => {
      let last = 0
      return base
        .map((payment) => {
          const before = last
          last = payment.cents
          return { ...payment, cents: before === 4 ? 100 : payment.cents }
        })
        .to(ledger)
    }
    const except: CheckOptions['except'] = ['chunk invariance']
    const message = await failure(check(previous, { ...runs, except }))
    expect(message).toContain('law broken: key locality')
    expect(message).toMatch(/Among the others, the records of key "[abc]" do not give what they give alone:/)
    const undone = await failure(check(previous, { ...runs, numRuns: 300, except: [...except, 'key locality'] }))
    expect(undone).toContain('law broken: undo leaves no trace')
    expect(undone).toMatch(/\} {2}← (ignored in another leaf of the stream|another leaf of the stream throws)/)
  })

  test('says what a plan stops with', async () => {
    const failing = base.tap(() => signal.error(new Error('no use'))).to(ledger)
    expect(await failure(check(failing, runs))).toContain('no use')
  })

  test('finds a store that ignores its fence, by a process that was taken for dead', async () => {
    class Unfenced extends MemoryStore {
      override async commit(request: CommitRequest): Promise<void> {
        const { owner, version } = await this.claim(request.claim.task, [])
        await super.commit({ ...request, claim: { ...request.claim, owner, version } })
      }
    }
    const plan = base.to(ledger)
    await checkOver(plan, { ...runs, numRuns: 200 }, () => new MemoryStore())
    const message = await failure(checkOver(plan, { ...runs, numRuns: 1_000 }, () => new Unfenced()))
    expect(message).toContain('law broken: replay idempotence')
    expect(message).toContain('the oldest process is taken for dead and goes on')
    expect(message).toMatch(/unexpected: \{ account: '[abc]', cents: 0 \}/)
  })

  test('derives records from the Avro schemas of the topics', async () => {
    const schema = { type: 'record', name: 'F', fields: [{ name: 'n', type: ['null', 'long'] }] } as const
    const numbers = topic('numbers', avro(schema))
    const out = table<{ n: number | null }>('out')
    const plan = stream('numbers').from(numbers).to(out)
    await check(plan, { model: (given) => rows(out, given(numbers)), numRuns: 20 })
    await check(plan, { input: records(numbers), numRuns: 20 })
    const nothing = await failure(check(plan, { model: () => [], seed: 1 }))
    expect(nothing).toMatch(
      /numbers\[0\] \{ n: (null|0) \}\nThe rows of table "out" differ:\n {2}unexpected: \{ n: (null|0) \}/,
    )
    expect(await failure(check(base.to(ledger)))).toMatch(/codec json.*records\(topic, .*MR-TEST-ARBITRARY/s)
  })

  test('refuses what it does not know', async () => {
    const other = records(topic('others', json<number>()), fc.nat())
    expect(await failure(check(tenSteps, { input: other }))).toMatch(/does not read topic "others".*MR-TEST-TOPIC/s)
    expect(await failure(check(tenSteps, { input, runs: 3 } as never))).toMatch(
      /has no option "runs".*Its options are .*MR-TEST-OPTION/s,
    )
    expect(await failure(check(tenSteps, { input, except: ['order'] as never }))).toMatch(
      /has no law "order" to leave out.*There are same twice, chunk invariance.*MR-TEST-OPTION/s,
    )
  })
})

describe('the types of check', () => {
  test('rows are those of the table, and given values those of the topic', () => {
    const model: CheckOptions['model'] = (given) => {
      expectTypeOf(given(payments)).toEqualTypeOf<readonly Payment[]>()
      // @ts-expect-error a column that the table does not have
      rows(ledger, [{ account: 'a', cents: 1, currency: 'EUR' }])
      // @ts-expect-error no outcome
      outcomes(payments, ['finished'])
      return rows(ledger, given(payments))
    }
    // @ts-expect-error values of another type
    records(payments, fc.nat())
    expect(model).toBeTypeOf('function')
  })
})

describe('a failure of check', { timeout: 60_000 }, () => {
  test('is seen again when the line of code that it prints is pasted', async () => {
    const groups = table<{ size: number }>('groups')
    const counted = base
      .batch({ max: 3 })
      .map((group) => ({ size: group.length }))
      .to(groups)
    const plans = [counted, onceSinceStart, base.mapAsync(async (payment) => payment, { order: 'none' }).to(ledger)]
    for (const plan of plans) {
      const message = await failure(check(plan, runs))
      const again = await pasted(message, plan, { input })
      expect(again).toContain('It was replayed.')
      expect(story(again)).toEqual(story(message))
      // The line is for pasting.
      expect(message.split('\n').at(-1)?.length).toBeLessThan(250)
    }
  })

  test('is not seen any more when the plan is mended', async () => {
    const message = await failure(check(onceSinceStart, runs))
    const [, replay = ''] = /replay: '(.*)'/.exec(message) ?? []
    await check(base.to(ledger), { input, replay })
  })

  test('is drawn again by its seed', async () => {
    const message = await failure(check(onceSinceStart, { input }))
    const seed = Number(/with seed (-?\d+)/.exec(message)?.[1])
    expect(await failure(check(onceSinceStart, { input, seed }))).toBe(message)
  })

  test('cannot be replayed from a text that is not whole', async () => {
    expect(await failure(check(tenSteps, { input, replay: 'story:AAAA' }))).toMatch(
      /"replay" cannot be read.*MR-TEST-REPLAY/s,
    )
  })
})
