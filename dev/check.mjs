/**
 * `npm run check`: everything about the code that is no test. Two steps run at a time, what a failed one printed is shown
 * at the end, and all steps run even when one has failed. `npm run check -- lint` runs the steps of that name only.
 */
import './install.mjs'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const bin = (/** @type {string} */ name) => join(root, 'node_modules/.bin', name)
const script = (/** @type {string} */ name) => [process.execPath, '--import', 'tsx', `dev/checks/${name}.ts`]

/** The longest first. */
const steps = [
  { name: 'package', command: script('package') },
  { name: 'types', command: [bin('tsc'), '--noEmit', '-p', '.'] },
  { name: 'unused', command: [bin('knip')] },
  { name: 'architecture', command: script('architecture') },
  { name: 'lint', command: [bin('biome'), 'check', '--error-on-warnings'] },
]

const only = process.argv.slice(2)
const unknown = only.filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) {
  console.error(`There is no check "${unknown[0]}"; there are ${steps.map((step) => step.name).join(', ')}.`)
  process.exit(2)
}
const waiting = steps.filter((step) => only.length === 0 || only.includes(step.name))
/** @type {{ name: string, output: string }[]} */
const failures = []

async function work() {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const started = performance.now()
    const { code, output } = await run(step.command)
    const seconds = ((performance.now() - started) / 1_000).toFixed(1)
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${step.name} (${seconds} s)`)
    if (code !== 0) failures.push({ name: step.name, output })
  }
}

/** @param {string[]} command @returns {Promise<{ code: number, output: string }>} */
function run([file = '', ...args]) {
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (/** @type {Buffer} */ chunk) => {
        output += chunk
      })
    }
    child.once('error', (error) => resolve({ code: 1, output: error.message }))
    child.once('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

await Promise.all([work(), work()])
for (const { name, output } of failures) console.log(`\n── ${name} ──\n${output.trimEnd()}`)
process.exitCode = failures.length === 0 ? 0 : 1
