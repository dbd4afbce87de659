/** The package as a project has it: compiled, in a node_modules folder of its own, with the packages it depends on beside it. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { type RunResult, run } from '../../dev/services/run.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

export interface Project {
  readonly folder: string
  write(file: string, content: string): Promise<void>
  /** Adds a copy of a package of this repository. */
  link(name: string): Promise<void>
  millrace(args: readonly string[], nodeArgs?: readonly string[]): Promise<RunResult>
  remove(): Promise<void>
}

/** Makes a project that has millrace installed, and nothing that is only needed to develop millrace. */
export async function createProject(): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-project-'))
  const installed = join(folder, 'node_modules/millrace')
  await Promise.all(['src', 'operators', 'sinks'].map((part) => compile(part, join(installed, 'dist'))))
  const manifest = await readFile(join(root, 'package.json'), 'utf8')
  await writeFile(join(installed, 'package.json'), manifest)
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  const { dependencies } = JSON.parse(manifest) as { dependencies: Record<string, string> }
  const link = async (name: string) => {
    await mkdir(dirname(join(folder, 'node_modules', name)), { recursive: true })
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name))
  }
  await Promise.all(Object.keys(dependencies).map(link))
  return {
    folder,
    link,
    write: (file, content) => writeFile(join(folder, file), content),
    millrace: (args, nodeArgs = []) =>
      run(process.execPath, [...nodeArgs, join(installed, 'dist/src/cli/main.js'), ...args], {
        cwd: folder,
        env: { PATH: process.env.PATH },
      }),
    remove: () => rm(folder, { recursive: true }),
  }
}

/** Only takes the types away, file by file, which takes a moment; that they are right is for `npm run check` to say. */
async function compile(part: string, into: string): Promise<void> {
  const files = (await readdir(join(root, part), { recursive: true })).filter((file) => file.endsWith('.ts'))
  await Promise.all(
    files.map(async (file) => {
      const { outputText } = ts.transpileModule(await readFile(join(root, part, file), 'utf8'), {
        compilerOptions: {
          module: ts.ModuleKind.ESNext,
          target: ts.ScriptTarget.ES2022,
          verbatimModuleSyntax: true,
          rewriteRelativeImportExtensions: true,
        },
      })
      const target = join(into, part, file.replace(/\.ts$/, '.js'))
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, outputText)
    }),
  )
}
