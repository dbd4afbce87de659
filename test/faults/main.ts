/** `npm run faults`: strikes services on a real Kafka and a real Postgres, and looks whether anything is lost. */
import { parseArgs } from 'node:util'
import { type Kind, kindNames } from './kinds.ts'
import { points } from './points.ts'
import { runSuite } from './suite.ts'
import { summarize, tableOf } from './summary.ts'

/** What earns trust; `--only` and the flags make it less. */
const fullSizes: Readonly<Record<Kind, number>> = {
  kills: 100,
  points: 5,
  proxy: 100,
  postgres: 30,
  brokers: 15,
  members: 60,
  zombies: 30,
}

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    ...Object.fromEntries(kindNames.map((kind) => [kind, text])),
    records: { ...text, default: '1000000' },
    seed: { ...text, default: '1' },
    jobs: { ...text, default: '3' },
    state: text,
    only: { ...text, multiple: true },
    json: { type: 'boolean', default: false },
  },
})

const given: Readonly<Record<string, unknown>> = values
const only = values.only ?? kindNames
const sizes = Object.fromEntries(
  kindNames.map((kind) => [kind, only.includes(kind) ? numberOf(kind, given[kind] ?? fullSizes[kind]) : 0]),
) as Record<Kind, number>
const seed = numberOf('seed', values.seed)
const results = await runSuite(
  {
    seed,
    sizes,
    records: numberOf('records', values.records),
    jobs: numberOf('jobs', values.jobs),
    stateFile: values.state,
    log: (line) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`),
  },
  points.length,
)
const summary = summarize(seed, results)
for (const { id, findings } of results)
  for (const { law, text: what } of findings.slice(0, 20)) console.error(`${id}: ${law}: ${what}`)
if (!values.json) console.log(tableOf(summary))
console.log(JSON.stringify(summary))
process.exitCode = summary.failed === 0 ? 0 : 1

function numberOf(name: string, value: unknown): number {
  const number = Number(value)
  if (Number.isInteger(number) && number >= 0) return number
  console.error(`--${name} takes a whole number, and not ${String(value)}`)
  process.exit(2)
}
