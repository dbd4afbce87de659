/**
 * The code of docs/testing.md runs, and says what the page says it does. With UPDATE_DOCS=1 the page is written anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import * as fastCheck from 'fast-check'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import * as millrace from '../../src/index.ts'
import * as testing from '../../src/testing/index.ts'

const path = join(import.meta.dirname, '../../docs/testing.md')
const page = readFileSync(path, 'utf8')
const fence = /```ts\n([\s\S]*?)```\n(?:(?!```|\n#)[\s\S])*?```text\n([\s\S]*?)```/g
const examples = Array.from(page.matchAll(fence), ([, code = '', output = '']) => ({ code, output }))

/** What the code of a fence prints: by itself, and of each of its tests that it passed or with what it failed. */
async function outputOf(code: string): Promise<string> {
  const printed: string[] = []
  const tests: (() => unknown)[] = []
  const modules: Readonly<Record<string, object>> = {
    millrace,
    'millrace/testing': testing,
    'fast-check': fastCheck,
    vitest: { test: (_name: string, run: () => unknown) => tests.push(run) },
  }
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true },
  })
  const AsyncFunction = (async () => {}).constructor as new (
    ...code: string[]
  ) => (...given: unknown[]) => Promise<void>
  await new AsyncFunction('require', 'exports', 'console', outputText)(
    (name: string) => ({ ...modules[name], __esModule: true }),
    {},
    { log: (...values: unknown[]) => printed.push(values.map((value) => inspect(value)).join(' ')) },
  )
  for (const run of tests) {
    try {
      await run()
      printed.push('passed')
    } catch (error) {
      printed.push((error as Error).message)
    }
  }
  return `${printed.join('\n')}\n`
}

/** How a story is packed depends on the version of Node.js. */
const unpacked = (output: string) => output.replace(/replay: '[^']*'/g, "replay: '…'")

describe('the page about testing', { timeout: 60_000 }, () => {
  test('has examples that say what they do', () => {
    expect(examples.length).toBe(5)
    expect(page.match(/```ts\n/g)?.length).toBe(examples.length)
  })

  test.each(examples.map((example, index) => ({ ...example, number: index + 1 })))(
    'is right about example $number',
    async ({ code, output }) => {
      const given = await outputOf(code)
      if (process.env.UPDATE_DOCS === '1') {
        const written = readFileSync(path, 'utf8').replace(fence, (whole, ...[of, before = '']: string[]) => {
          const head = whole.slice(0, whole.length - '```'.length - before.length)
          return of === code ? `${head}${given}\`\`\`` : whole
        })
        writeFileSync(path, written)
      } else expect(unpacked(given)).toBe(unpacked(output))
    },
  )

  test('prints a line that replays the story', async () => {
    const [{ code, output } = { code: '', output: '' }] = examples
    const [replay = ''] = /replay: '[^']+'/.exec(output) ?? []
    const again = await outputOf(code.replace('seed: 1', replay))
    expect(again).toBe(output.replace(/^Found in .*$/m, 'It was replayed.'))
  })
})
