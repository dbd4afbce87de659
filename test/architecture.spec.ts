import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cruise, cruiseTree } from '../dev/checks/cruise.ts'

const root = fileURLToPath(new URL('../', import.meta.url))

/** One import that each rule exists to forbid: rule, importing module, what it imports. */
const forbidden: readonly [rule: string, from: string, to: string][] = [
  ['layer-core', 'src/core/a.ts', '../runtime/leaf.ts'],
  ['layer-operators', 'operators/a.ts', '../src/runtime/leaf.ts'],
  ['layer-codecs', 'src/codecs/a.ts', '../runtime/leaf.ts'],
  ['layer-bounded', 'src/bounded/a.ts', '../runtime/leaf.ts'],
  ['layer-runtime', 'src/runtime/a.ts', '../postgres/leaf.ts'],
  ['layer-runtime', 'src/runtime/b.ts', '../../operators/leaf.ts'],
  ['layer-kafka', 'src/kafka/a.ts', '../runtime/leaf.ts'],
  ['layer-postgres', 'src/postgres/a.ts', '../runtime/leaf.ts'],
  ['layer-sinks', 'sinks/a.ts', '../src/runtime/leaf.ts'],
  ['layer-stream', 'src/stream.ts', './kafka/leaf.ts'],
  ['layer-index', 'src/index.ts', './testing/leaf.ts'],
  ['layer-testing', 'src/testing/a.ts', '../service/leaf.ts'],
  ['layer-service', 'src/service/a.ts', '../cli/leaf.ts'],
  ['layer-cli', 'src/cli/a.ts', '../testing/leaf.ts'],
  ['layer-service', 'src/service/b.ts', '../../test/leaf.ts'],
  ['packages-core', 'src/core/b.ts', 'rxjs'],
  ['packages-operators', 'operators/b.ts', 'pino'],
  ['packages-codecs', 'src/codecs/b.ts', 'rxjs'],
  ['packages-bounded', 'src/bounded/b.ts', 'rxjs'],
  ['packages-runtime', 'src/runtime/c.ts', 'pino'],
  ['packages-kafka', 'src/kafka/b.ts', 'rxjs'],
  ['packages-postgres', 'src/postgres/b.ts', 'rxjs'],
  ['packages-sinks', 'sinks/b.ts', 'rxjs'],
  ['vendor-kafkajs', 'src/service/c.ts', 'millrace-kafkajs'],
  ['vendor-plain-kafkajs', 'src/service/d.ts', 'kafkajs'],
  ['vendor-pg', 'src/service/e.ts', 'pg'],
  ['vendor-avsc', 'src/codecs/json.ts', 'avsc'],
  ['operators-stand-alone', 'operators/c.ts', './leaf.ts'],
  ['no-dev-dependency', 'src/service/f.ts', 'knip'],
  ['no-cycles', 'src/service/cycle.ts', './cycle.ts'],
  ['no-unresolved', 'src/service/g.ts', './gone.ts'],
]

/** Imports that must stay possible, so that no rule forbids more than it should. */
const allowed: readonly [from: string, to: string][] = [
  ['src/core/c.ts', 'node:fs'],
  ['src/core/d.ts', 'fastest-levenshtein'],
  ['operators/d.ts', 'rxjs'],
  ['operators/e.ts', './_shared/leaf.ts'],
  ['operators/index.ts', './leaf.ts'],
  ['src/codecs/avro.ts', 'avsc'],
  ['src/kafka/c.ts', 'millrace-kafkajs'],
  ['src/kafka/d.ts', 'snappy'],
  ['src/postgres/c.ts', 'pg'],
  ['sinks/c.ts', '../src/postgres/leaf.ts'],
  ['src/testing/b.ts', 'fast-check'],
  ['src/service/h.ts', '../kafka/leaf.ts'],
]

const leaves = ['src/core', 'src/runtime', 'src/kafka', 'src/postgres', 'src/testing', 'src/service', 'src/cli'].concat(
  ['operators', 'operators/_shared', 'sinks', 'test'],
)

describe('the rules about imports', () => {
  // Below the project, so that packages are found.
  let tree: string
  let cruised: Cruise

  beforeAll(async () => {
    mkdirSync(join(root, '.cache'), { recursive: true })
    tree = mkdtempSync(join(root, '.cache', 'architecture-'))
    const write = (file: string, text: string) => {
      mkdirSync(dirname(join(tree, file)), { recursive: true })
      writeFileSync(join(tree, file), text)
    }
    for (const folder of leaves) write(`${folder}/leaf.ts`, 'export const leaf = 1\n')
    const imports: [string, string][] = [...forbidden.map(([, from, to]): [string, string] => [from, to]), ...allowed]
    for (const [from, to] of imports) write(from, `import * as x from '${to}'\nexport const y = x\n`)
    write('src/core/types.ts', "export type { Observable } from 'rxjs'\n")
    cruised = await cruiseTree(tree)
  })

  afterAll(() => rmSync(tree, { recursive: true, force: true }))

  test.each(forbidden)('%s forbids that %s imports %s', (rule, from) => {
    expect(cruised.forbidden.filter((found) => found.from === from).map((found) => found.rule)).toContain(rule)
  })

  test('nothing else is forbidden', () => {
    const culprits = new Set(forbidden.map(([, from]) => from))
    expect(cruised.forbidden.filter(({ from }) => !culprits.has(from))).toEqual([])
  })
})

test('this project keeps the rules', async () => {
  const { modules, forbidden } = await cruiseTree(root)
  expect(modules).toBeGreaterThan(50)
  expect(forbidden).toEqual([])
  // Reading every file takes long on a busy machine.
}, 60_000)
