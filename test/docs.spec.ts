/**
 * Every TypeScript fence of the documentation and every @example compiles. Each is a module of its own; names of this
 * package, and those that are obviously the reader's own, need no import.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { compile } from './types/_compile.ts'

const root = resolve(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** What examples use without saying what it is. */
const own = `
import { json, type ProcessContext, type StandardSchema, type Stream, segment, slot, table, topic } from 'millrace'
export { readFileSync } from 'node:fs'
export { default as fc } from 'fast-check'
export { auditTime } from 'rxjs'
export { expect, test } from 'vitest'

export interface Flight { readonly origin: string; readonly delay: number; readonly distance: number; readonly at: Date }
export interface Payment { readonly id: string; readonly payer: string; readonly amount: number; readonly currency: string }
export declare const flights: Stream<Flight>
export declare const payments: Stream<Payment>
export declare const payment: Payment
export declare const ctx: ProcessContext
export declare function rateOf(currency: string): Promise<number>
export const total = slot('total', () => 0)
export const rate = slot('rate', () => 1)
export const rates = segment('rates', (paid: Stream<Payment>) => paid.filter(({ currency }) => currency !== 'EUR'))
export const receipts = segment('receipts', (paid: Stream<Payment>) => paid.to(table<Payment>('receipts')))
export const discountSum = { process: (paid: Payment) => paid }
export declare const orders: Stream<{ readonly lines: readonly string[] }>
export declare const saved: Stream<Flight>
export declare const alerts: Stream<Flight>
export declare const url: string
export declare function weatherAt(flight: Flight, abortSignal: AbortSignal): Promise<string>
export const flightTopic = topic('flights', json<{ origin: string; delay: number }>())
export const delays = table<{ origin: string; delay: number }>('delays')
export const totals = table<{ origin: string; flights: number }>('totals', { key: 'origin', onConflict: { flights: 'add' } })
export declare const z: {
  string(): unknown
  number(): unknown
  object(shape: object): StandardSchema<unknown, { origin: string; delay: number }>
}
export const FlightSchema = { type: 'record', name: 'Flight', fields: [{ name: 'origin', type: 'string' }] } as const
export const FlightSchemaV1 = { type: 'record', name: 'Flight', fields: [{ name: 'origin', type: 'string' }] } as const
export { flights as default }
`

interface Example {
  /** `README.md:5`: where the first line of code stands. */
  readonly place: string
  readonly code: string
}

function fencesOf(path: string): Example[] {
  const lines = read(path).split('\n')
  const examples: Example[] = []
  for (let line = 0; line < lines.length; line++) {
    if (!/^\s*```(ts|typescript)\b/.test(lines[line] ?? '')) continue
    const begin = line + 1
    while (++line < lines.length && lines[line]?.trim() !== '```');
    examples.push({ place: `${path}:${begin + 1}`, code: lines.slice(begin, line).join('\n') })
  }
  return examples
}

/** From `@example` to the next tag or empty line of the comment. */
function examplesOf(path: string): Example[] {
  const lines = read(path).split('\n')
  const examples: Example[] = []
  for (let line = 0; line < lines.length; line++) {
    if (!/^\s*\* @example\s*$/.test(lines[line] ?? '')) continue
    const begin = line + 1
    while (/^\s*\* (?!@)/.test(lines[line + 1] ?? '')) line++
    const code = lines.slice(begin, line + 1).map((text) => text.replace(/^\s*\* /, ''))
    examples.push({ place: `${path}:${begin + 1}`, code: code.join('\n') })
  }
  return examples
}

function filesUnder(folder: string, extension: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension))
    .map((name) => `${folder}/${name}`)
    .sort()
}

const parse = (text: string) => ts.createSourceFile('example.ts', text, ts.ScriptTarget.ES2022, true)

/** Names that a module exports, those of what it passes on included. */
function exportsOf(path: string, text = read(path)): string[] {
  return parse(text).statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) {
      const { exportClause, moduleSpecifier } = statement
      if (exportClause !== undefined && ts.isNamedExports(exportClause)) {
        return exportClause.elements.map(({ name }) => name.text)
      }
      const from = moduleSpecifier as ts.StringLiteral
      return exportsOf(join(path, '..', from.text))
    }
    return ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.[0]?.kind === ts.SyntaxKind.ExportKeyword
      ? declaredBy(statement)
      : []
  })
}

/** Names that a statement brings: by a declaration or an import. */
function declaredBy(statement: ts.Statement): string[] {
  const names: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) names.push(node.text)
    else if (ts.isObjectBindingPattern(node) || ts.isArrayBindingPattern(node)) ts.forEachChild(node, visit)
    else if (ts.isBindingElement(node)) visit(node.name)
  }
  if (ts.isVariableStatement(statement)) for (const { name } of statement.declarationList.declarations) visit(name)
  else if (ts.isImportDeclaration(statement)) {
    const clause = statement.importClause
    if (clause?.name !== undefined) visit(clause.name)
    if (clause?.namedBindings !== undefined && ts.isNamedImports(clause.namedBindings)) {
      for (const { name } of clause.namedBindings.elements) visit(name)
    }
  } else if (
    (ts.isFunctionDeclaration(statement) ||
      ts.isClassDeclaration(statement) ||
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement)) &&
    statement.name !== undefined
  ) {
    visit(statement.name)
  }
  return names
}

const modules: readonly (readonly [from: string, names: readonly string[]])[] = [
  ['millrace', exportsOf('src/index.ts')],
  ['millrace/testing', exportsOf('src/testing/index.ts')],
  ['./flights.ts', exportsOf('flights.ts', own).filter((name) => name !== 'default')],
]

/** The code with imports of all that it uses and does not bring itself, on one line, so that lines stay what they are. */
function moduleOf(code: string): string {
  const taken = new Set(parse(code).statements.flatMap(declaredBy))
  const imports = [...modules].reverse().map(([from, names]) => {
    const used = names.filter((name) => !taken.has(name) && new RegExp(`\\b${name}\\b`).test(code))
    for (const name of used) taken.add(name)
    return used.length === 0 ? '' : `import { ${used.join(', ')} } from '${from}'; `
  })
  return `${imports.join('')}export {};${code}\n`
}

/** Complaints about examples, with the places where they stand. */
function complaintsAbout(examples: readonly Example[]): string[] {
  const name = ({ place }: Example) => place.replaceAll('/', '_')
  const texts = Object.fromEntries(examples.map((example) => [name(example), moduleOf(example.code)]))
  // The reader imports types beside values, whatever the settings of this repository are.
  const { errors } = compile({ ...texts, flights: own }, { verbatimModuleSyntax: false, isolatedModules: false })
  return [{ place: 'own names:1', code: '' }, ...examples].flatMap((example) => {
    const [file = '', first = '1'] = example.place.split(':')
    return (errors.get(file === 'own names' ? 'flights' : name(example)) ?? []).map((error) => {
      const line = Number(/^line (\d+)/.exec(error)?.[1] ?? 1) + Number(first) - 1
      return `${file}:${line} ${error.replace(/^line \d+: /, '')}`
    })
  })
}

const guides = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...filesUnder('docs', '.md')]
const sources = ['src', 'operators', 'sinks'].flatMap((folder) => filesUnder(folder, '.ts'))
const fences = guides.flatMap(fencesOf)
const examples = sources.flatMap(examplesOf)

describe('the documentation', { timeout: 30_000 }, () => {
  it('compiles, fence by fence and example by example', () => {
    expect(fences.length).toBeGreaterThan(5)
    expect(examples.length).toBeGreaterThan(20)
    expect(complaintsAbout([...fences, ...examples])).toEqual([])
  })

  it('is told where it does not compile', () => {
    const wrong = [
      { place: 'README.md:10', code: "stream('s')\n  .form(topic('t', text()))" },
      { place: 'src/x.ts:20', code: 'const t: string = flights' },
    ]
    expect(complaintsAbout(wrong)).toEqual([
      "README.md:11 Property 'form' does not exist on type 'NamedStream'.",
      expect.stringMatching(/^src\/x\.ts:20 Type 'Stream<Flight>' is not assignable to type 'string'/),
    ])
  })
})
