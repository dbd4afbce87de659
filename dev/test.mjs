/**
 * `npm test`: installs when needed, runs vitest with the arguments it was given, and closes with one line,
 * `N passed, N failed`, made from the runner's own report. A run in which no test ran, or that ended badly outside of
 * any test, has failed.
 */
import './install.mjs'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { judge } from './judge.mjs'

const root = fileURLToPath(new URL('../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
const reportFile = join(folder, 'report.json')

// Ctrl-C reaches the runner too, which then stops its services; we only have to stay until it is done.
process.on('SIGINT', () => {})
const runner = spawn(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    ...['run', '--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`],
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
)
process.on('SIGTERM', () => runner.kill('SIGTERM'))
runner.once('exit', (code, signal) => {
  const { passed, failed, complaints } = judge(readReport(), code ?? signal)
  rmSync(folder, { recursive: true, force: true })
  for (const complaint of complaints) console.log(complaint)
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
})

/** @returns {import('./judge.mjs').Report | undefined} */
function readReport() {
  try {
    return JSON.parse(readFileSync(reportFile, 'utf8'))
  } catch {
    return undefined // the runner ended before it wrote one
  }
}
