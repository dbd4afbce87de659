/**
 * `npm run mutants [-- --only TEXT]`: breaks the code on purpose, one mutant at a time, in a copy of what is committed, and
 * says which test caught it. One that no test catches is a hole in the safety net, and the exit code is 1.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startServices } from '../services/index.ts'
import { type Mutant, mutants } from './mutants.ts'

/** What is read of vitest's JSON report. */
interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

/** A mutant may make a test wait for ever; then that is how it is caught. */
const limitMs = 120_000

const root = fileURLToPath(new URL('../../', import.meta.url))
const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } })
const chosen = mutants.filter(({ name, file }) => name.includes(values.only) || file.includes(values.only))
// A signal ends the process without its handlers for the exit, which end what runs and tidy up.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)
  process.once(signal, () => process.exit(code))
const folder = mkdtempSync(join(tmpdir(), 'millrace-mutants-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
// Quick tests need none.
const areNeeded = chosen.some(({ tests }) => tests.some((test) => test.includes('integration')))
const services = await startServices({ kafka: areNeeded, postgres: areNeeded })
try {
  execFileSync('git', ['clone', '--quiet', '--local', root, folder])
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  await requireGreen([...new Set(chosen.flatMap(({ tests }) => tests))])
  let survivors = 0
  for (const mutant of chosen) {
    const catcher = await whoCatches(mutant)
    if (catcher === undefined) survivors++
    console.log(`${catcher === undefined ? 'SURVIVED' : 'caught  '}  ${mutant.name}${catcher ? `: ${catcher}` : ''}`)
  }
  console.log(`${chosen.length - survivors} of ${chosen.length} caught`)
  process.exitCode = survivors === 0 && chosen.length > 0 ? 0 : 1
} finally {
  await services.stop()
}

/** A test that fails anyway catches nothing. */
async function requireGreen(tests: readonly string[]): Promise<void> {
  const failed = await firstFailure(tests)
  if (failed !== undefined) throw new Error(`the tests have to pass before anything is broken: ${failed}`)
}

async function whoCatches({ name, file, find, replace, tests }: Mutant): Promise<string | undefined> {
  const path = join(folder, file)
  const text = readFileSync(path, 'utf8')
  if (text.split(find).length !== 2)
    throw new Error(`"${name}" does not apply to ${file} any more: bring it up to date`)
  writeFileSync(
    path,
    text.replace(find, () => replace),
  )
  try {
    return await firstFailure(tests)
  } finally {
    writeFileSync(path, text)
  }
}

/** The first test that fails; undefined when all pass. */
async function firstFailure(tests: readonly string[]): Promise<string | undefined> {
  const reportFile = join(folder, 'report.json')
  rmSync(reportFile, { force: true })
  const runner = spawn(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      ...['run', '--bail=1', '--typecheck.enabled=false', '--reporter=json', `--outputFile.json=${reportFile}`],
      ...tests,
    ],
    {
      cwd: folder,
      stdio: 'ignore',
      detached: true,
      env: { ...process.env, KAFKA_BROKERS: services.brokers.join(','), DATABASE_URL: services.databaseUrl },
    },
  )
  const ending = await endOf(runner)
  if (ending === 0) return undefined
  return (
    failureIn(reportFile) ??
    (ending === 'SIGKILL' ? `still running after ${limitMs / 1_000} s` : `the run ended with ${ending}`)
  )
}

/**
 * Waits for a run, for as long as it may take. A runner leaves its workers behind when it is killed, and a worker that a mutant
 * keeps busy goes on for ever; so each run is a process group of its own, and whatever way it ends, the group ends with it.
 */
async function endOf(runner: ChildProcess): Promise<unknown> {
  const killGroup = () => {
    if (runner.pid === undefined) return
    try {
      process.kill(-runner.pid, 'SIGKILL')
    } catch {
      // nobody is left
    }
  }
  const timer = setTimeout(killGroup, limitMs)
  process.once('exit', killGroup)
  try {
    return await new Promise((resolve, reject) => {
      runner.once('error', reject)
      runner.once('exit', (code, signal) => resolve(signal ?? code))
    })
  } finally {
    clearTimeout(timer)
    process.off('exit', killGroup)
    killGroup()
  }
}

function failureIn(reportFile: string): string | undefined {
  let report: Report
  try {
    report = JSON.parse(readFileSync(reportFile, 'utf8')) as Report
  } catch {
    return undefined // stopped before it wrote one
  }
  for (const { name, status, assertionResults } of report.testResults) {
    const failed = assertionResults.find((result) => result.status === 'failed')
    if (failed !== undefined) return failed.fullName
    if (status === 'failed') return `${name} could not be run`
  }
  return undefined
}
