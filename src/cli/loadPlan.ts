/** Loads the module that holds a plan, also when it is TypeScript and this Node.js cannot read that by itself. */
import { existsSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MillraceError, messageOf, SettingsError } from '../core/errors.ts'
import { leavesOf, type Plan, Stream } from '../stream.ts'

const typescript: ReadonlySet<string> = new Set(['.ts', '.mts', '.cts', '.tsx'])

/**
 * The default export of a file.
 *
 * @throws SettingsError when the file cannot be loaded or exports no plan; PlanError when the plan is wrong
 */
export async function loadPlan(file: string, cwd: string): Promise<Plan> {
  const path = resolve(cwd, file)
  if (!existsSync(path)) {
    throw new SettingsError('MR-CLI-FILE', {
      what: `there is no file ${path}`,
      fix: 'Give the module whose default export is the plan.',
    })
  }
  if (typescript.has(extname(path)) && !readsTypescript()) await useTsx(file)
  const loaded = await load(file, path)
  const plan = planOf(file, loaded)
  leavesOf(plan)
  return plan
}

/** Node.js strips types by itself from 22.18 on. Run from its own sources, this program has a loader already. */
function readsTypescript(): boolean {
  return Boolean((process.features as { typescript?: unknown }).typescript) || import.meta.url.endsWith('.ts')
}

/**
 * From now on modules go through tsx. Without a namespace of its own: then the plan's `millrace` is the module that runs
 * here, and its signals are recognised.
 */
async function useTsx(file: string): Promise<void> {
  try {
    const { register } = await import('tsx/esm/api')
    register()
  } catch (error) {
    throw new SettingsError('MR-CLI-TSX', {
      what: `${file} is TypeScript, which Node.js ${process.versions.node} does not read by itself`,
      fix: 'Install tsx beside millrace (npm install --save-dev tsx), use Node.js 22.18 or newer, or compile the file.',
      cause: error,
    })
  }
}

async function load(file: string, path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return await import(pathToFileURL(path).href)
  } catch (error) {
    if (error instanceof MillraceError) throw error
    const unsupported = (error as { code?: unknown }).code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX'
    throw new SettingsError('MR-CLI-LOAD', {
      what: `${file} cannot be loaded`,
      // Where in the user's own code it was thrown is what helps.
      why: ownStack(error),
      fix: unsupported
        ? 'Node.js can only strip types. Run it through tsx: NODE_OPTIONS="--import tsx" millrace run …'
        : undefined,
      cause: error,
    })
  }
}

/** An error with its stack, without the lines of Node.js. */
function ownStack(error: unknown): string {
  if (!(error instanceof Error) || error.stack === undefined) return messageOf(error)
  return error.stack
    .split('\n')
    .filter((line) => !/^\s+at .*(node:|\/node_modules\/tsx\/)/.test(line))
    .join('\n')
}

function planOf(file: string, loaded: Readonly<Record<string, unknown>>): Plan {
  const { default: plan, ...others } = loaded
  if (plan === undefined) {
    const names = Object.keys(others)
    throw new SettingsError('MR-CLI-EXPORT', {
      what: `${file} has no default export`,
      why: names.length === 0 ? 'It exports nothing.' : `It exports ${names.join(', ')}.`,
      fix: 'Export what is to run: export default [flights, alerts]. What is not in the list does not run.',
    })
  }
  const streams: readonly unknown[] = Array.isArray(plan) ? plan : [plan]
  const foreign = streams.some((entry) => !(entry instanceof Stream) && isForeignStream(entry))
  if (foreign) {
    throw new SettingsError('MR-CLI-COPY', {
      what: `${file} uses another copy of millrace than the one that runs it`,
      why: `This one is ${new URL('../..', import.meta.url).pathname}. Signals of one copy mean nothing to another.`,
      fix: 'Run the copy that is installed beside the file (npx millrace), and keep one version in the project (npm ls millrace).',
    })
  }
  return plan as Plan
}

function isForeignStream(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Symbol.for('millrace.stream') in value
}
