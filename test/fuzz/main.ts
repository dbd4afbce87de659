/**
 * `npm run fuzz [-- --inputs 500000] [--seed 1] [--state FILE]`: bad input in rounds, each with a seed of its own. With `--state` a
 * run that was broken off goes on where it was. Ends with a line of JSON; the exit code is 1 when something did harm.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { messageOf } from '../../src/core/errors.ts'
import { runRound } from './targets.ts'

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '500000' },
    seed: { type: 'string', default: '1' },
    state: { type: 'string' },
  },
})

interface Done {
  nextSeed: number
  inputs: number
  harmful: string[]
  tookMs: number
}

const { state } = values
const done: Done =
  state !== undefined && existsSync(state)
    ? (JSON.parse(readFileSync(state, 'utf8')) as Done)
    : { nextSeed: Number(values.seed), inputs: 0, harmful: [], tookMs: 0 }
while (done.inputs < Number(values.inputs)) {
  const begun = Date.now()
  const seed = done.nextSeed++
  try {
    done.inputs += await runRound(seed, 1)
  } catch (error) {
    done.harmful.push(`seed ${seed}: ${messageOf(error)}`)
    console.log(done.harmful.at(-1))
    if (done.harmful.length >= 10) break
  }
  done.tookMs += Date.now() - begun
  if (state !== undefined) writeFileSync(state, JSON.stringify(done))
  console.log(`${done.inputs} inputs, ${done.harmful.length} rounds with harm, ${Math.round(done.tookMs / 1000)} s`)
}
console.log(JSON.stringify(done))
process.exitCode = done.harmful.length === 0 ? 0 : 1
