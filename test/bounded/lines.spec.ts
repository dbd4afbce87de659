import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { lines } from '../../src/bounded/index.ts'
import { bytes, json, text } from '../../src/codecs/index.ts'
import { signal } from '../../src/core/signal.ts'
import { stream } from '../../src/stream.ts'
import { out, Runs, toRow } from './_run.ts'

let folder: string
let path: string
let runs: Runs
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-lines-'))
  path = join(folder, 'input.txt')
})
afterAll(() => rm(folder, { recursive: true }))
beforeEach(() => {
  runs = new Runs()
})

/** The lines of a file as a plan sees them, with their offsets. */
async function read(content: string | Buffer, options: Parameters<typeof lines>[2] = {}) {
  await writeFile(path, content)
  const seen: [offset: number, line: string][] = []
  const plan = stream('s')
    .from(lines(path, text(), options))
    .tap((line, { record }) => void seen.push([record.offset, line]))
  return { seen, ...(await runs.run(plan)) }
}

describe('the lines of a file', () => {
  test.each([
    ['end with LF', 'a\nbc\n'],
    ['end with CRLF', 'a\r\nbc\r\n'],
    ['end with the file', 'a\nbc'],
    ['may stand behind a byte order mark', '\ufeffa\nbc\n'],
  ])('%s', async (_, content) => {
    const { seen, first } = await read(content)
    expect(seen).toEqual([
      [0, 'a'],
      [1, 'bc'],
    ])
    expect(first).toMatchObject({ source: path, items: 2, done: 2 })
  })

  test('keep what is no end of a line', async () => {
    expect((await read('a\rb\u2028c\r\n\ufeffd\r')).seen).toEqual([
      [0, 'a\rb\u2028c'],
      [1, '\ufeffd\r'],
    ])
  })

  test('that are empty count as filtered, or go to the codec', async () => {
    const content = '\na\n\r\n\nb\n\n'
    const skipped = await read(content)
    expect(skipped.seen).toEqual([
      [1, 'a'],
      [4, 'b'],
    ])
    expect(skipped.first).toMatchObject({ items: 6, done: 2, filtered: 4 })
    const passed = await read(content, { emptyLines: 'pass' })
    expect(passed.seen.map(([, line]) => line)).toEqual(['', 'a', '', '', 'b', ''])
  })

  test('of an empty file are none', async () => {
    expect((await read('')).first.items).toBe(0)
  })

  test('that are no UTF-8, or no JSON, are collected with their bytes', async () => {
    await writeFile(
      path,
      Buffer.concat([Buffer.from('{"n":1}\n"'), Buffer.from([0xff]), Buffer.from('"\n{"n":\n{"n":4}\n')]),
    )
    const plan = stream('s').from(lines(path, json<{ n: number }>())).to(out)
    const { first } = await runs.run(plan)
    expect(runs.numbers).toEqual([1, 4])
    expect(first.errors.map(({ offset, step, message }) => [offset, step, /MR-[\w-]+/.exec(message)?.[0]])).toEqual([
      [1, `from:${path}`, 'MR-DECODE-UTF8'],
      [2, `from:${path}`, 'MR-DECODE-JSON'],
    ])
    expect(runs.store.collected.map(({ topic, offset, value }) => [topic, offset, value])).toEqual([
      [path, 1, Buffer.from([0x22, 0xff, 0x22])],
      [path, 2, Buffer.from('{"n":')],
    ])
  })

  test('of any length and number come as they are', async () => {
    const line = fc.oneof(
      { weight: 20, arbitrary: fc.string({ maxLength: 20 }).map((word) => word.replace(/[\n\r]/g, '')) },
      { weight: 1, arbitrary: fc.integer({ min: 200_000, max: 300_000 }).map((length) => 'é'.repeat(length)) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 30 }), fc.boolean(), fc.boolean(), async (all, crlf, open) => {
        const end = crlf ? '\r\n' : '\n'
        await writeFile(path, `${all.join(end)}${open ? '' : end}`)
        const seen: string[] = []
        const plan = stream('s')
          .from(lines(path, bytes(), { emptyLines: 'pass' }))
          .tap((value) => void seen.push(value.toString()))
        await runs.run(plan)
        // Without an end behind it, an empty last line is none.
        const expected = open && all.at(-1) === '' ? all.slice(0, -1) : all.length === 0 && !open ? [''] : all
        expect(seen).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  test('behind a break are counted', async () => {
    await writeFile(path, Array.from({ length: 50_000 }, (_, n) => `${n}\n`).join(''))
    const plan = stream('s')
      .from(lines(path, json<number>()))
      .tap((n) => void (n === 100 && signal.break()))
    const { first } = await runs.run(plan, { commit: { maxItems: 10 } })
    expect(first).toMatchObject({ done: 100, unprocessed: 49_899, isMoreUnread: false })
  })

  test('go on with a name, also where the file has grown', async () => {
    await writeFile(path, '1\n2\n')
    const plan = stream('s').from(lines(path, json<number>())).to(out, toRow)
    await runs.run(plan, { name: 'import' })
    await appendFile(path, '3\n')
    const { first } = await runs.run(plan, { name: 'import' })
    expect(first).toMatchObject({ before: 2, items: 1 })
    expect(runs.numbers).toEqual([1, 2, 3])
    await writeFile(path, '1\nzwei\n3\n4\n')
    await runs.run(plan, { name: 'import' })
    expect(runs.numbers).toEqual([1, 2, 3, 4])
    await writeFile(path, '1\n2\n3\nvier\n')
    await expect(runs.run(plan, { name: 'import' })).rejects.toMatchObject({ code: 'MR-RUN-OTHER-INPUT' })
  })

  test('that are too long, and a file that is not there, fail the run', async () => {
    await writeFile(path, `short\n${'x'.repeat(1_000)}\n`)
    const long = stream('s').from(lines(path, text(), { maxLineBytes: 100 }))
    await expect(runs.run(long)).rejects.toMatchObject({ code: 'MR-LINES-LENGTH' })
    await expect(runs.run(long)).rejects.toThrow(/line 2 of .* longer than 100 bytes/)
    const gone = stream('s').from(lines(join(folder, 'gone'), text()))
    await expect(runs.run(gone)).rejects.toMatchObject({ code: 'MR-LINES-FILE' })
    expect(runs.store.commits).toBe(0)
  })
})
