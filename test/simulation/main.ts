/**
 * `npm run simulate [-- --seeds 20000] [--from 0] [--state FILE] [--seed N] [--json]`: plays the stories of many seeds. One that
 * fails is shrunk and printed; kept in `regressions.ts`, it is played with every run of the tests.
 *
 * With `--state` a run that was broken off goes on where it was. `--seed` plays one story, and prints its trace.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { shrunk } from './shrink.ts'
import { simulate } from './simulate.ts'
import { storyOf } from './story.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20000' },
    from: { type: 'string', default: '0' },
    state: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

/** What was done so far. */
interface Done {
  next: number
  seeds: number
  failed: number[]
  records: number
  commits: number
  faults: number
  slowestRecoveryMs: number
  tookMs: number
}

/** Seeds between two notes of what was done. */
const noteEvery = 100

async function playOne(seed: number): Promise<void> {
  const story = storyOf(seed)
  console.log(JSON.stringify(story, null, 2))
  console.log(await simulate(story, (line) => console.log(line)))
}

async function playMany(): Promise<void> {
  const end = Number(values.from) + Number(values.seeds)
  const done = readState() ?? {
    next: Number(values.from),
    seeds: 0,
    failed: [],
    records: 0,
    commits: 0,
    faults: 0,
    slowestRecoveryMs: 0,
    tookMs: 0,
  }
  let lastMs = Date.now()
  while (done.next < end) {
    const seed = done.next++
    try {
      const { records, commits, faults, recoveryMs } = await simulate(storyOf(seed))
      done.records += records
      done.commits += commits
      done.faults += faults
      done.slowestRecoveryMs = Math.max(done.slowestRecoveryMs, recoveryMs)
    } catch {
      done.failed.push(seed)
      await tellOf(seed)
    }
    done.seeds++
    if (done.seeds % noteEvery !== 0 && done.next < end) continue
    done.tookMs += Date.now() - lastMs
    lastMs = Date.now()
    if (values.state !== undefined) writeFileSync(values.state, JSON.stringify(done))
    if (!values.json)
      console.log(`${done.seeds} seeds, ${done.failed.length} failed, ${Math.round(done.tookMs / 1000)} s`)
  }
  console.log(JSON.stringify(done))
  process.exitCode = done.failed.length === 0 ? 0 : 1
}

function readState(): Done | undefined {
  if (values.state === undefined || !existsSync(values.state)) return undefined
  return JSON.parse(readFileSync(values.state, 'utf8')) as Done
}

async function tellOf(seed: number): Promise<void> {
  const found = await shrunk(seed)
  console.log(`seed ${seed} fails; the shortest story that does:`)
  console.log(JSON.stringify(found?.story, null, 2))
  console.log(found?.message)
}

await (values.seed === undefined ? playMany() : playOne(Number(values.seed)))
