/**
 * `npm run bench`: millrace against the same work written by hand, in pairs, in one run.
 *
 *     npm run bench -- --only W1,W3 --json
 */
import { parseArgs } from 'node:util'
import { startServices } from '../dev/services/index.ts'
import type { ResultLine } from './pairs.ts'
import { createStage } from './stage.ts'
import type { Workload } from './workload.ts'
import { workloads } from './workloads.ts'

const usage = `npm run bench -- [--only W1,W3] [--records 2000000] [--pairs 3] [--json]
${workloads.map(({ name, title }) => `  ${name.padEnd(11)} ${title}`).join('\n')}`

interface Settings {
  readonly chosen: readonly Workload[]
  readonly records: number
  readonly pairs: number
  readonly json: boolean
}

function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      records: { type: 'string', default: '2000000' },
      pairs: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  })
  const names = values.only?.split(',')
  const chosen = names === undefined ? workloads : names.map(workloadNamed)
  return { chosen, records: count('records', values.records), pairs: count('pairs', values.pairs), json: values.json }
}

function workloadNamed(name: string): Workload {
  const workload = workloads.find((known) => known.name.toLowerCase() === name.trim().toLowerCase())
  if (workload === undefined) throw new TypeError(`there is no workload "${name}"`)
  return workload
}

function count(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new TypeError(`--${name} takes a whole number from 1 on, not "${text}"`)
  return value
}

function lineText(line: ResultLine): string {
  const { workload, baseline = 'by hand', millrace_per_s, baseline_per_s, ratio, ...others } = line
  const { rss_mb, baseline_rss_mb, ...more } = others
  const rates = `${millrace_per_s.toLocaleString('en-US')}/s, ${baseline} ${baseline_per_s.toLocaleString('en-US')}/s`
  const extra = Object.entries(more).map(([name, value]) => `, ${name} ${value}`)
  return `${workload.padEnd(11)} ${rates}, ratio ${ratio}, ${rss_mb} MB and ${baseline_rss_mb} MB${extra.join('')}`
}

async function main(settings: Settings): Promise<void> {
  const say = (text: string) => process.stderr.write(`${text}\n`)
  const services = await startServices({ kafka: true, postgres: true })
  try {
    const stage = await createStage({ brokers: services.brokers, url: services.databaseUrl }, say)
    try {
      for (const workload of settings.chosen) {
        const line = await workload.measure(stage, settings)
        process.stdout.write(`${settings.json ? JSON.stringify(line) : lineText(line)}\n`)
      }
    } finally {
      await stage.close()
    }
  } finally {
    await services.stop()
  }
}

let settings: Settings
try {
  settings = readSettings()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`)
  process.exit(2)
}
await main(settings)
