import { setImmediate as nextTurn } from 'node:timers/promises'
import { bufferCount, delay } from 'rxjs'
import { beforeEach, describe, expect, test } from 'vitest'
import { json } from '../../src/codecs/index.ts'
import { retry } from '../../src/core/errorPolicy.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import { start } from '../../src/service/start.ts'
import { type Stream, segment, stream } from '../../src/stream.ts'
import { check } from '../../src/testing/check.ts'
import { MemoryStore } from '../../src/testing/memoryStore.ts'
import { testDriver } from '../../src/testing/testDriver.ts'
import { topic } from '../../src/topic.ts'
import { out, Runs, toRow } from './_run.ts'

let runs: Runs
beforeEach(() => {
  runs = new Runs()
})

const numbersOf = (values: Iterable<number> | AsyncIterable<number>) => stream('s').from(values)
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

describe('an array', () => {
  test('is run to its end in one transaction', async () => {
    const { report, first } = await runs.run(numbersOf(upTo(2_500)).to(out, toRow))
    expect(runs.numbers).toEqual(upTo(2_500))
    expect(runs.store.commits).toBe(1)
    expect(report).toMatchObject({ commits: 1, name: undefined, collected: 0 })
    expect(first).toMatchObject({
      stream: 's',
      source: 'array',
      items: 2_500,
      done: 2_500,
      rows: 2_500,
      unprocessed: 0,
    })
  })

  test('of nothing is a run that does nothing', async () => {
    const { report, first } = await runs.run(numbersOf([]).to(out, toRow))
    expect(first.items).toBe(0)
    expect(report.commits).toBe(0)
  })

  test('hands its values over as they are', async () => {
    const values = [new Map([[1, 2]]), null, undefined, () => 3, 10n]
    const seen: unknown[] = []
    const positions: unknown[] = []
    const plan = stream('s')
      .from(values)
      .tap((value, { record }) => {
        seen.push(value)
        positions.push([record.topic, record.partition, record.offset])
      })
    const { first } = await runs.run(plan)
    expect(seen).toEqual(values)
    expect(seen[0]).toBe(values[0])
    expect(positions).toEqual(values.map((_, index) => ['array', 0, index]))
    expect(first.done).toBe(5)
  })

  test('can have a name', async () => {
    const { first } = await runs.run(stream('s').from([1], { name: 'ones' }).to(out, toRow))
    expect(first.source).toBe('ones')
  })
})

describe('an iterable', () => {
  test('is read, whatever kind it is', async () => {
    async function* later() {
      for (const n of upTo(1_500)) {
        if (n % 500 === 0) await nextTurn()
        yield n
      }
    }
    function* now() {
      yield* upTo(1_500)
    }
    const plan = [
      stream('a').from(later()).to(out, toRow),
      stream('b').from(now()).to(out, toRow),
      stream('c')
        .from(new Set([7]))
        .to(out, toRow),
    ]
    const { report } = await runs.run(plan)
    expect(runs.numbers).toEqual([...upTo(1_500), ...upTo(1_500), 7])
    expect(report.streams.map(({ source, items }) => [source, items])).toEqual([
      ['iterable', 1_500],
      ['iterable', 1_500],
      ['iterable', 1],
    ])
    expect(report.commits).toBe(3)
  })

  test('that fails fails the run at its position, and nothing is committed', async () => {
    async function* failing() {
      yield* upTo(1_200)
      throw new Error('the disk is gone')
    }
    const ran = runs.run(numbersOf(failing()).to(out, toRow))
    await expect(ran).rejects.toMatchObject({ code: 'MR-RUN-INPUT', place: { topic: 'iterable', offset: 1_200 } })
    await expect(ran).rejects.toThrow(/failed after 1200 items.*\n.*the disk is gone/)
    expect(runs.store.commits).toBe(0)
    expect(runs.numbers).toEqual([])
  })

  test('that fails keeps the transactions that were through', async () => {
    function* failing() {
      yield* upTo(10)
      throw new Error('the disk is gone')
    }
    await expect(runs.run(numbersOf(failing()).to(out, toRow), { commit: { maxItems: 4 } })).rejects.toThrow('disk')
    expect(runs.numbers).toEqual(upTo(8))
  })

  test('is closed when the run ends before it does', async () => {
    let closed = 0
    function* endless() {
      try {
        for (let n = 0; ; n++) yield n
      } finally {
        closed++
      }
    }
    async function* endlessLater() {
      try {
        for (let n = 0; ; n++) yield n
      } finally {
        closed++
      }
    }
    for (const values of [endless(), endlessLater()]) {
      const plan = numbersOf(values).tap((n) => {
        if (n === 10) signal.break('enough')
      })
      const { first } = await runs.run(plan, { commit: { maxItems: 100 } })
      expect(first).toMatchObject({ items: 11, done: 10, isMoreUnread: true })
    }
    expect(closed).toBe(2)
  })

  test('without an end is not read ahead without bound', async () => {
    let given = 0
    let most = 0
    async function* endless() {
      for (;;) yield given++
    }
    const plan = numbersOf(endless())
      .mapAsync(async (n) => {
        for (let turn = 0; turn < 20; turn++) await nextTurn()
        return n
      })
      .tap((n) => {
        most = Math.max(most, given - n)
        if (n === 500) signal.break()
      })
    await runs.run(plan, { commit: { maxItems: 50 } })
    expect(most).toBeLessThanOrEqual(200)
  })

  test('leaves a turn to others, however quick it is', async () => {
    let turns = 0
    let isOver = false
    const count = () => {
      turns++
      if (!isOver) setImmediate(count)
    }
    setImmediate(count)
    await runs.run(numbersOf(upTo(100_000).values()))
    isOver = true
    expect(turns).toBeGreaterThanOrEqual(100)
  })

  test('that waits is not waited for by what has come', async () => {
    let wake = () => {}
    async function* waiting() {
      yield 1
      yield 2
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      yield 3
    }
    const plan = numbersOf(waiting())
      .tap((n) => {
        if (n === 2) wake()
      })
      .to(out, toRow)
    await runs.run(plan)
    expect(runs.numbers).toEqual([1, 2, 3])
  })
})

describe('signals', () => {
  test('and throws have their outcome in the report', async () => {
    const plan = numbersOf(upTo(12))
      .filter((n) => n !== 0)
      .tap((n) => {
        if (n === 1) signal.continue()
        if (n === 2 || n === 3) signal.ignore('odd one')
        if (n === 4) throw new Error('no four')
      })
      .to(out, toRow)
    const { report, first } = await runs.run(plan)
    expect(first).toMatchObject({
      ...{ items: 12, filtered: 1, continued: 1, ignored: 2, collected: 1, done: 7, deferred: 0, rows: 7 },
      ignoredReasons: { 'odd one': 2 },
      errors: [{ topic: 'array', offset: 4, step: 'tap', message: 'no four' }],
    })
    expect(runs.store.collected).toMatchObject([{ topic: 'array', partition: 0, offset: 4, value: Buffer.from('4') }])
    expect(String(report).split('\n').slice(1)).toEqual([
      '  stream "s" from array: 12 items (7 done, 1 filtered, 1 continued, 2 ignored, 1 collected)',
      '    7 rows written',
      '    ignored 2 ×: odd one',
      `    collected in millrace.errors, group "${report.group}":`,
      '      array@4, step "tap": no four',
    ])
  })

  test('break ends the run, and what is behind is unprocessed', async () => {
    const plan = numbersOf(upTo(2_000))
      .to(out, toRow)
      .tap((n) => {
        if (n === 700) signal.break('full', { resumeAfterMs: 1 })
      })
    const { report, first } = await runs.run(plan)
    expect(runs.numbers).toEqual(upTo(700))
    expect(first).toMatchObject({
      ...{ items: 701, done: 700, unprocessed: 1_299, isMoreUnread: false },
      stopped: { kind: 'break', offset: 700, reason: 'full' },
    })
    expect(String(report)).toContain('broken off at array@700: full\n    1,299 unprocessed behind it')
  })

  test('error undoes the whole run, after the retries', async () => {
    let tries = 0
    const plan = numbersOf(upTo(2_000))
      .to(out, toRow)
      .tap((n) => {
        if (n === 1_999) {
          tries++
          signal.error('not today')
        }
      })
    await expect(runs.run(plan)).rejects.toMatchObject({ code: 'MR-SIGNAL-ERROR' })
    expect(tries).toBe(3)
    expect(runs.store.commits).toBe(0)
    expect(runs.numbers).toEqual([])
  })

  test('error that does not come again leaves the run whole', async () => {
    let tries = 0
    const plan = numbersOf(upTo(5_000))
      .to(out, toRow)
      .tap((n) => {
        if (n === 3 && tries++ === 0) signal.error('busy')
      })
    const { report } = await runs.run(plan)
    expect(report.commits).toBe(1)
    expect(runs.numbers).toEqual(upTo(5_000))
  })

  test('a used up error budget ends the run', async () => {
    const plan = numbersOf(upTo(500))
      .to(out, toRow)
      .tap((n) => {
        if (n >= 50) throw new Error('bad')
      })
      .errorPolicy({ budget: { inARow: 20 } })
    const { first } = await runs.run(plan)
    expect(first).toMatchObject({ items: 70, done: 50, collected: 20, unprocessed: 430, stopped: { kind: 'halted' } })
  })
})

describe('one transaction', () => {
  test('is not cut by time: groups end with it', async () => {
    async function* slow() {
      for (const n of upTo(6)) {
        await new Promise((resolve) => setTimeout(resolve, 3))
        yield n
      }
    }
    const groups: number[][] = []
    const plan = stream('s')
      .from(slow())
      .batch({ max: 4, maxWaitMs: 1 })
      .tap((group) => void groups.push([...group]))
    const { report } = await runs.run(plan)
    expect(groups).toEqual([
      [0, 1, 2, 3],
      [4, 5],
    ])
    expect(report.commits).toBe(1)
  })

  test('is not cut where rows are refused', async () => {
    const store = new MemoryStore({ refuses: (_, { n }) => (Number(n) % 10 === 5 ? '23514' : undefined) })
    Object.assign(runs, { store })
    const { report, first } = await runs.run(numbersOf(upTo(100)).to(out, toRow))
    expect(report.commits).toBe(1)
    expect(first).toMatchObject({ collected: 10, done: 90, rows: 90 })
  })

  test('is not cut where the row of a group is refused, and the guilty member is found', async () => {
    const store = new MemoryStore({ refuses: (_, { n }) => (Number(n) >= 1_000 ? '23514' : undefined) })
    Object.assign(runs, { store })
    const sum = (group: readonly number[]) => ({ n: group.reduce((total, n) => total + n, 0) })
    const values = [1, 2, 3, 4, 1_000, 5, 6, 7, 1_001, 1_002, 8, 9]
    const plan = numbersOf(values).batch({ max: 4 }).to(out, sum)
    const { report, first } = await runs.run(plan)
    expect(report.commits).toBe(1)
    expect(store.collected.map(({ offset }) => offset).toSorted((a, b) => a - b)).toEqual([4, 8, 9])
    expect(first).toMatchObject({ items: 12, done: 9, collected: 3 })
    expect(runs.numbers).toEqual([10, 26, 9])
  })

  test('has one run of a pipe, and scopes for all', async () => {
    const total = slot('total', () => 0)
    const finished: number[] = []
    const plan = numbersOf(upTo(3_000)).process({
      process: (n, ctx) => ctx.scope.batch.update(total, (sum) => sum + n),
      finish: (sums) => void finished.push(sums.length),
    })
    await runs.run(plan)
    expect(finished).toEqual([3_000])
  })

  test('that does not fit fails and says what to do', async () => {
    const texts = Array.from({ length: 3_000 }, () => 'x'.repeat(1_000))
    const plan = stream('s')
      .from(texts.values())
      .to(out, (text) => ({ n: text.length }))
    const ran = runs.run(plan, { maxBytes: 2 ** 20 })
    await expect(ran).rejects.toMatchObject({ code: 'MR-RUN-SIZE' })
    await expect(ran).rejects.toThrow(/commit: \{ maxItems: … \}/)
    expect(runs.store.commits).toBe(0)
    await runs.run(plan, { maxBytes: 2 ** 20, commit: { maxItems: 500 } })
  })

  test('is given up where an input is without end, before memory is', async () => {
    let given = 0
    function* endless() {
      for (;;) yield `${given++}${'x'.repeat(1_000)}`
    }
    async function* endlessLater() {
      yield* endless()
    }
    for (const values of [endless(), endlessLater()]) {
      given = 0
      const slow = stream('s')
        .from(values)
        .mapAsync(async (value) => {
          await nextTurn()
          return value
        })
      await expect(runs.run(slow, { maxBytes: 2 ** 20 })).rejects.toMatchObject({ code: 'MR-RUN-SIZE' })
      expect(given).toBeLessThan(4_000)
    }
  })

  test('takes what RxJS holds to the end', async () => {
    const plan = numbersOf(upTo(25))
      .pipe((values) => values.pipe(bufferCount(10), delay(5)))
      .to(out, (group) => ({ n: group.length }))
    const { first, report } = await runs.run(plan)
    expect(runs.numbers).toEqual([10, 10, 5])
    expect(first.rows).toBe(3)
    expect(report.commits).toBe(1)
  })
})

describe('commit.maxItems', () => {
  test('cuts there and nowhere else', async () => {
    const sizes: number[] = []
    const plan = numbersOf(upTo(1_050))
      .process({ prepare: (all) => void sizes.push(all.length), process: (n) => n })
      .to(out, toRow)
    const { report } = await runs.run(plan, { commit: { maxItems: 500 } })
    expect(sizes).toEqual([500, 500, 50])
    expect(report.commits).toBe(3)
    expect(runs.numbers).toEqual(upTo(1_050))
  })

  test('takes what RxJS holds to the end, also behind the last item', async () => {
    const plan = numbersOf(upTo(20))
      .pipe(bufferCount(7))
      .to(out, (group) => ({ n: group.length }))
    // The end of the input is seen while the last batch that is full commits.
    const commit = runs.store.commit.bind(runs.store)
    runs.store.commit = async (request) => {
      for (let turn = 0; turn < 20; turn++) await nextTurn()
      return commit(request)
    }
    await runs.run(plan, { commit: { maxItems: 10 } })
    expect(runs.numbers).toEqual([7, 7, 6])
  })
})

describe('a name', () => {
  const fails = (at: number, once: { failed: boolean }) => (n: number) => {
    if (n !== at || once.failed) return
    once.failed = true
    signal.break()
  }

  test('lets a run go on where it stopped, and then do nothing', async () => {
    const once = { failed: false }
    const plan = numbersOf(upTo(100)).to(out, toRow).tap(fails(60, once))
    const ran = await runs.run(plan, { name: 'import' })
    expect(ran.first).toMatchObject({ before: 0, done: 60, unprocessed: 39 })
    const again = await runs.run(plan, { name: 'import' })
    expect(again.first).toMatchObject({ before: 60, items: 40, done: 40, unprocessed: 0 })
    expect(runs.numbers).toEqual(upTo(100))
    const third = await runs.run(plan, { name: 'import' })
    expect(third.report.commits).toBe(0)
    expect(third.first).toMatchObject({ before: 100, items: 0 })
    expect(String(third.report)).toContain(
      'nothing was left to do: earlier runs of this name have dealt with 100 items',
    )
    expect(runs.numbers).toEqual(upTo(100))
  })

  test('takes what an input has got more', async () => {
    await runs.run(numbersOf([1, 2]).to(out, toRow), { name: 'import' })
    await runs.run(numbersOf([1, 2, 3].values()).to(out, toRow), { name: 'other' }).catch(() => {})
    await runs.run(numbersOf([1, 2, 3]).to(out, toRow), { name: 'import' })
    expect(runs.numbers).toEqual([1, 2, 1, 2, 3, 3])
  })

  test('is told apart from another input', async () => {
    await runs.run(numbersOf([1, 2, 3]).to(out, toRow), { name: 'import' })
    const other = runs.run(numbersOf([1, 2, 4, 5]).to(out, toRow), { name: 'import' })
    await expect(other).rejects.toThrow(/item 2 is not the one .* it is now "4"/)
    await expect(other).rejects.toMatchObject({ code: 'MR-RUN-OTHER-INPUT', place: { topic: 'array', offset: 2 } })
    const shorter = runs.run(numbersOf([1, 2]).to(out, toRow), { name: 'import' })
    await expect(shorter).rejects.toMatchObject({ code: 'MR-RUN-SHORTER' })
    const renamed = runs.run(stream('s').from([1, 2, 3], { name: 'x' }).to(out, toRow), { name: 'import' })
    await expect(renamed).rejects.toMatchObject({ code: 'MR-RUN-NAME' })
    expect(runs.numbers).toEqual([1, 2, 3])
  })

  test('keeps progress, and no name keeps none, also when the run fails', async () => {
    await runs.run(numbersOf([1]).to(out, toRow), { name: 'import' })
    expect(await runs.store.readProgress('import')).toMatchObject([{ source: 'from:array', nextOffset: 1 }])
    const claimed: string[] = []
    const { store } = runs
    const claim = store.claim.bind(store)
    store.claim = (task, starts) => {
      claimed.push(task.app)
      return claim(task, starts)
    }
    await runs.run(numbersOf([1]).to(out, toRow))
    await expect(runs.run(numbersOf([1]).tap(() => signal.error()))).rejects.toThrow()
    expect(new Set(claimed).size).toBe(2)
    for (const app of claimed) expect(await store.readProgress(app)).toEqual([])
  })

  test('runs what somebody wants replayed, and what was put off', async () => {
    let broken = true
    const plan = numbersOf([1, 2, 3])
      .tap((n) => {
        if (broken && n === 2) throw new Error('not yet')
      })
      .to(out, toRow)
    await runs.run(plan, { name: 'import' })
    expect(runs.numbers).toEqual([1, 3])
    runs.store.collector.replay()
    broken = false
    const { report } = await runs.run(plan, { name: 'import' })
    expect(report.replayed).toBe(1)
    expect(runs.numbers).toEqual([1, 3, 2])
  })

  test('that another process takes over ends this one', async () => {
    const plan = numbersOf(upTo(10)).mapAsync(async (n) => {
      if (n === 5) await runs.store.claim({ app: 'import', stream: 's', partition: 0 }, [])
      return n
    })
    await expect(runs.run(plan, { name: 'import' })).rejects.toMatchObject({ code: 'MR-FENCE-LOST' })
  })
})

describe('streams that go with another one', () => {
  test('have reports of their own', async () => {
    const seen = segment('seen', (n: Stream<number>) => n.filter((x) => x > 1).to(out, toRow))
    const bad = segment('bad', (n: Stream<number>) => n.tap((x) => void (x === 3 && fail())))
    const plan = numbersOf([1, 2, 3]).dependsOn(seen).triggers(bad)
    const { report } = await runs.run(plan)
    expect(
      report.streams.map(({ stream: name, items, done, filtered, collected, rows }) => {
        return { name, items, done, filtered, collected, rows }
      }),
    ).toEqual([
      { name: 's', items: 3, done: 3, filtered: 0, collected: 0, rows: 0 },
      { name: 'seen', items: 3, done: 2, filtered: 1, collected: 0, rows: 2 },
      { name: 'bad', items: 3, done: 2, filtered: 0, collected: 1, rows: 0 },
    ])
    expect(report.collected).toBe(1)
  })
})

function fail(): never {
  throw new Error('bad')
}

describe('giving up', () => {
  test('commits nothing more and rejects with the reason', async () => {
    const stopping = new AbortController()
    let closed = false
    async function* endless() {
      try {
        for (let n = 0; ; n++) {
          if (n === 3_000) stopping.abort(new Error('enough'))
          yield n
        }
      } finally {
        closed = true
      }
    }
    await expect(runs.run(numbersOf(endless()).to(out, toRow), { signal: stopping.signal })).rejects.toThrow('enough')
    expect(closed).toBe(true)
    expect(runs.numbers).toEqual([])
  })

  test('does not wait for an input that hangs before it is where it was', async () => {
    await runs.run(numbersOf(upTo(10).values()), { name: 'import' })
    const stopping = new AbortController()
    async function* hanging(): AsyncGenerator<number> {
      setImmediate(() => stopping.abort(new Error('enough')))
      await new Promise(() => {})
    }
    const again = runs.run(numbersOf(hanging()), { name: 'import', signal: stopping.signal })
    await expect(again).rejects.toThrow('enough')
  })

  test('does not wait for an input that hangs', async () => {
    const stopping = new AbortController()
    async function* hanging(): AsyncGenerator<number> {
      yield 1
      setImmediate(() => stopping.abort(new Error('enough')))
      await new Promise(() => {})
    }
    await expect(runs.run(numbersOf(hanging()), { signal: stopping.signal })).rejects.toThrow('enough')
  })
})

describe('plans', () => {
  const endless = stream('t').from(topic('numbers', json<number>())).to(out, toRow)
  const bounded = numbersOf([1]).to(out, toRow)

  test('of topics are refused by run()', async () => {
    await expect(runs.run([bounded, endless])).rejects.toMatchObject({ code: 'MR-PLAN-ENDLESS' })
  })

  test('that end are refused by start() and by the test kit', async () => {
    const settings = { group: 'g', kafka: { brokers: ['localhost:1'] }, postgres: { url: 'postgres://localhost/none' } }
    const refused = { code: 'MR-PLAN-BOUNDED', message: expect.stringContaining('run(') }
    await expect(start(bounded, settings)).rejects.toMatchObject(refused)
    expect(() => testDriver(bounded)).toThrow(expect.objectContaining(refused))
    await expect(check(bounded)).rejects.toMatchObject(refused)
  })

  test('say what is wrong with their settings', async () => {
    await expect(runs.run(bounded, { commit: { maxItem: 1 } as object })).rejects.toThrow(/did you mean "maxItems"/)
    await expect(runs.run(bounded, { commit: { maxItems: 0 } })).rejects.toMatchObject({ code: 'MR-SETTING' })
  })

  test('put items off that are to be tried again later', async () => {
    const plan = numbersOf([1, 2])
      .tap((n) => void (n === 1 && fail()))
      .errorPolicy({ retry: retry.backoff({ attempts: 3, firstMs: 60_000 }) })
    const { first } = await runs.run(plan)
    expect(first).toMatchObject({ deferred: 1, done: 1 })
  })
})
