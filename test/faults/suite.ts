/** Plans the episodes of a run, runs those that are still to come, and adds up. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { startKafka, startPostgres, startServices } from '../../dev/services/index.ts'
import type { Finding } from './evidence.ts'
import { type Kind, kindNames, kindOf, type OwnServers } from './kinds.ts'
import { mixed } from './records.ts'
import { Scene, type Servers } from './scene.ts'
import { Tally } from './tally.ts'

export interface SuiteSettings {
  readonly seed: number
  /** Faults of each kind; of points, how often each is reached. */
  readonly sizes: Readonly<Record<Kind, number>>
  /** At least as many records over all. */
  readonly records: number
  /** Episodes at a time: most of what they do is waiting for timeouts. */
  readonly jobs: number
  /** JSON lines of finished episodes. They are not done again with the same seed. Undefined: nothing is kept. */
  readonly stateFile?: string | undefined
  /** Servers that run already. Undefined: started here. */
  readonly servers?: Servers | undefined
  readonly log: (text: string) => void
}

/** Characters of what services said last, in a finding. */
const longestWords = 6_000

interface PlannedEpisode {
  /** Says all that decides about it but the seed. */
  readonly id: string
  readonly kind: Kind
  readonly first: number
  readonly faults: number
  readonly records: number
}

/** What an episode came to. */
export interface EpisodeResult {
  readonly seed: number
  readonly id: string
  readonly kind: Kind
  readonly ms: number
  readonly records: number
  readonly kills: number
  readonly faults: Readonly<Record<string, number>>
  readonly points: Readonly<Record<string, number>>
  readonly skipped: readonly string[]
  readonly looks: number
  readonly findings: readonly Finding[]
}

/** The episodes of a run, longest kinds first, so that none is left alone at the end. */
function planEpisodes({ sizes, records }: Pick<SuiteSettings, 'sizes' | 'records'>, points: number): PlannedEpisode[] {
  const total = (kind: Kind) => (kind === 'points' ? sizes.points * points : sizes[kind])
  const all = kindNames.reduce((sum, kind) => sum + total(kind), 0)
  const order: readonly Kind[] = ['postgres', 'brokers', 'proxy', 'points', 'zombies', 'kills', 'members']
  return order.flatMap((kind) => {
    const atMost = kindOf(kind).faults
    return Array.from({ length: Math.ceil(total(kind) / atMost) }, (_, index) => {
      const first = index * atMost
      const faults = Math.min(atMost, total(kind) - first)
      const share = Math.ceil((records * faults) / all)
      return { id: `${kind}-${first}+${faults}/${share}`, kind, first, faults, records: share }
    })
  })
}

/** Runs what is still to be done. Results come in the order in which episodes ended, those of earlier runs first. */
export async function runSuite(settings: SuiteSettings, points: number): Promise<EpisodeResult[]> {
  const { stateFile, seed, log } = settings
  const planned = planEpisodes(settings, points)
  const results = readState(stateFile).filter((done) => done.seed === seed && planned.some(({ id }) => id === done.id))
  const waiting = planned.filter(({ id }) => !results.some((done) => done.id === id))
  if (results.length > 0) log(`${results.length} of ${planned.length} episodes were done before`)
  if (waiting.length === 0) return results
  const services = settings.servers === undefined ? await startServices({ kafka: true, postgres: true }, {}) : undefined
  const servers = settings.servers ?? (services as Servers)
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const result = await runEpisode(next, servers, settings)
      results.push(result)
      // What failed is done again at the next start.
      if (result.findings.length === 0) writeState(stateFile, result)
      log(`${results.length}/${planned.length} ${told(result)}`)
    }
  }
  try {
    await Promise.all(Array.from({ length: settings.jobs }, work))
  } finally {
    await services?.stop()
  }
  return results
}

async function runEpisode(planned: PlannedEpisode, servers: Servers, settings: SuiteSettings): Promise<EpisodeResult> {
  const { id, kind, first, faults, records } = planned
  const from = performance.now()
  const seed = mixed(first, settings.seed)
  const tally = new Tally()
  let findings: readonly Finding[]
  let scene: Scene | undefined
  const own = await startOwn(kindOf(kind).needs)
  try {
    scene = await Scene.open({ ...servers, ...own.servers }, { seed, ...kindOf(kind).scene })
    await kindOf(kind).run({ scene, tally, first, faults, seed, own: own.services })
    await scene.catchUp(records)
    findings = await scene.findings()
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    findings = [{ law: 'process', text: `${text}\n${(scene?.lastWords ?? '').slice(-longestWords)}` }]
  } finally {
    await scene
      ?.close()
      .catch((error: unknown) => settings.log(`${id}: the scene could not be closed: ${String(error)}`))
    await own.stop()
  }
  return {
    seed: settings.seed,
    id,
    kind,
    ms: Math.round(performance.now() - from),
    records: scene?.feed.count ?? 0,
    kills: tally.kills,
    faults: tally.faults,
    points: tally.points,
    skipped: tally.skipped,
    looks: scene?.watcher.looks ?? 0,
    findings,
  }
}

interface Own {
  readonly services: OwnServers
  readonly servers: Partial<Servers>
  stop(): Promise<void>
}

async function startOwn(needs: 'kafka' | 'postgres' | undefined): Promise<Own> {
  if (needs === 'kafka') {
    const kafka = await startKafka()
    return { services: { kafka }, servers: { brokers: kafka.brokers }, stop: () => kafka.stop() }
  }
  if (needs === 'postgres') {
    const postgres = await startPostgres()
    return { services: { postgres }, servers: { databaseUrl: postgres.url }, stop: () => postgres.stop() }
  }
  return { services: {}, servers: {}, stop: async () => undefined }
}

function told({ id, ms, records, findings, looks }: EpisodeResult): string {
  const laws = [...new Set(findings.map(({ law }) => law))].join(', ')
  const verdict =
    findings.length === 0
      ? 'sound'
      : `${findings.length} FINDINGS (${laws}), first: ${findings[0]?.text.split('\n')[0]}`
  return `${id}: ${(ms / 1_000).toFixed(0)} s, ${records} records, ${looks} looks, ${verdict}`
}

function readState(file: string | undefined): EpisodeResult[] {
  if (file === undefined || !existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  // The last line is cut off when the run was ended while it was written.
  return lines.flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as EpisodeResult] : []))
}

function writeState(file: string | undefined, result: EpisodeResult): void {
  if (file === undefined) return
  mkdirSync(dirname(file), { recursive: true })
  // Begins with a line end, should an earlier one have been cut off.
  appendFileSync(file, `\n${JSON.stringify(result)}\n`)
}
