/** Compiles snippets against the sources of this package, with its own settings. */
import { join, resolve } from 'node:path'
import ts from 'typescript'

const root = resolve(import.meta.dirname, '../..')
const host = ts.createCompilerHost({})
const settings = ts.parseJsonConfigFileContent(
  { ...ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config, include: [], files: ['src/index.ts'] },
  ts.sys,
  root,
).options

export interface Compiled {
  /** Complaints by the name of their file: what the editor shows, all lines. */
  readonly errors: ReadonlyMap<string, readonly string[]>
  /** Type instantiations that checking the snippets cost. */
  readonly instantiations: number
  /** The type of an exported constant, as an editor shows it where one hovers over it. */
  hover(name: string, constant: string): string | undefined
}

/** Libraries and sources do not change between two compilations. */
const parsed = new Map<string, ts.SourceFile | undefined>()

/** Compiles texts by their names, each a module of its own that lies beside this file. */
export function compile(texts: Readonly<Record<string, string>>, options: ts.CompilerOptions = {}): Compiled {
  const paths = new Map(Object.entries(texts).map(([name, text]) => [join(import.meta.dirname, `${name}.ts`), text]))
  const program = ts.createProgram({
    rootNames: [...paths.keys()],
    options: { ...settings, noEmit: true, ...options },
    host: {
      ...host,
      fileExists: (path) => paths.has(path) || host.fileExists(path),
      readFile: (path) => paths.get(path) ?? host.readFile(path),
      getSourceFile(path, options) {
        const text = paths.get(path)
        if (text !== undefined) return ts.createSourceFile(path, text, options, true)
        if (!parsed.has(path)) parsed.set(path, host.getSourceFile(path, options))
        return parsed.get(path)
      },
    },
  })
  const errors = new Map<string, string[]>()
  for (const [index, name] of Object.keys(texts).entries()) {
    const file = program.getSourceFile([...paths.keys()][index] ?? '')
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    errors.set(
      name,
      found.map((one) => {
        const line = one.file === undefined ? 0 : one.file.getLineAndCharacterOfPosition(one.start ?? 0).line + 1
        return `line ${line}: ${ts.flattenDiagnosticMessageText(one.messageText, '\n')}`
      }),
    )
  }
  return {
    errors,
    instantiations: program.getInstantiationCount(),
    hover(name, constant) {
      const file = program.getSourceFile(join(import.meta.dirname, `${name}.ts`))
      const checker = program.getTypeChecker()
      const module = file === undefined ? undefined : checker.getSymbolAtLocation(file)
      const symbol = module?.exports?.get(ts.escapeLeadingUnderscores(constant))
      return symbol === undefined ? undefined : checker.typeToString(checker.getTypeOfSymbol(symbol))
    },
  }
}
