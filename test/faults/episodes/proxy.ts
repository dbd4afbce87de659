/** The network between a service and its servers, disturbed in every way that a proxy can. */

import type { Holdings } from '../killPoint.ts'
import type { Episode } from '../kinds.ts'
import type { Member } from '../member.ts'
import type { Scene } from '../scene.ts'
import { proxyTo, TcpProxy } from '../tcpProxy.ts'

const members = 2

/** A service, and its own ways to its servers. */
interface Linked {
  readonly member: Member
  readonly postgres: TcpProxy
  readonly kafka: TcpProxy
}

type Side = 'postgres' | 'kafka'

const lostAnswer = "COMMIT's answer dropped"
type Disturbance = 'cut' | 'reset' | 'slow' | 'byte by byte' | 'silent' | 'requests lost' | 'answers lost'

/** A short run does the first seven. */
const others: readonly { readonly side: Side; readonly what: Disturbance }[] = [
  { side: 'kafka', what: 'silent' },
  { side: 'postgres', what: 'cut' },
  { side: 'postgres', what: 'silent' },
  { side: 'kafka', what: 'reset' },
  { side: 'postgres', what: 'slow' },
  { side: 'kafka', what: 'answers lost' },
  { side: 'postgres', what: 'byte by byte' },
  { side: 'kafka', what: 'requests lost' },
  { side: 'postgres', what: 'reset' },
  { side: 'postgres', what: 'requests lost' },
  { side: 'kafka', what: 'cut' },
  { side: 'kafka', what: 'slow' },
  { side: 'postgres', what: 'answers lost' },
  { side: 'kafka', what: 'byte by byte' },
]

/** Three of ten are a lost answer to COMMIT; the others take turns. */
function turnOf(fault: number): typeof lostAnswer | (typeof others)[number] {
  const other = Math.floor(fault / 10) * 7 + (fault % 10) - 3
  return fault % 10 < 3 ? lostAnswer : (others[other % others.length] ?? lostAnswer)
}

export async function disturbNetwork({ scene, tally, first, faults }: Episode): Promise<void> {
  const linked = await Promise.all(Array.from({ length: members }, () => startLinked(scene)))
  await scene.goesOn('the start')
  await comesToRest(scene)
  const before = await Promise.all(linked.map(({ member }) => member.holdings()))
  scene.feed.resume()
  for (let fault = 0; fault < faults; fault++) {
    const turn = turnOf(first + fault)
    const struck = linked[fault % members] as Linked
    await scene.isBusy()
    const name = turn === lostAnswer ? lostAnswer : `${turn.side}: ${turn.what}`
    if (turn === lostAnswer) await dropAnswer(scene, struck.postgres)
    else await disturb(scene, struck, turn.side, turn.what)
    await scene.goesOn(name)
    tally.fault(name)
  }
  await comesToRest(scene)
  await holdNoMore(scene, linked, before)
}

/** Nothing is left to do, so that what is held at two such times can be compared. */
async function comesToRest(scene: Scene): Promise<void> {
  await scene.feed.stop()
  await scene.until('everything is committed', () => scene.feed.lag === 0)
}

async function startLinked(scene: Scene): Promise<Linked> {
  const { proxy: postgres, url } = await proxyTo(scene.database.url)
  const [host = '', port = ''] = (scene.servers.brokers[0] ?? '').split(':')
  const kafka = await TcpProxy.open(host, Number(port))
  scene.onClose(() => Promise.all([postgres.close(), kafka.close()]))
  const member = scene.start({ FAULTS_REDIRECT: `${port}=${kafka.port}` }, { databaseUrl: url })
  return { member, postgres, kafka }
}

async function dropAnswer(scene: Scene, postgres: TcpProxy): Promise<void> {
  // As it goes over the wire: a text that ends, and not a part of some other statement.
  postgres.failOnce('commit\0', 'lose the answer')
  await scene.until('a COMMIT has lost its answer', () => !postgres.isArmed)
}

async function disturb(scene: Scene, { member, ...proxies }: Linked, side: Side, what: Disturbance): Promise<void> {
  const proxy = proxies[side]
  if (what === 'cut') return proxy.cut()
  if (what === 'reset') return proxy.reset()
  const { accepted } = proxy
  const { joins } = member
  proxy.setTraffic(what)
  try {
    if (what === 'slow' || what === 'byte by byte') await scene.goesOn(`${side}: ${what}, while it lasts`)
    // Nothing gets through any more: it has given up, and connects again.
    else await scene.until(`${member.name} connects to ${side} again`, () => proxy.accepted > accepted)
  } finally {
    proxy.setTraffic('normal')
  }
  if (side === 'kafka' && lasting.has(what))
    await scene.until(`${member.name} has joined again`, () => member.joins > joins)
}

/** What a member is thrown out of its group for. */
const lasting: ReadonlySet<Disturbance> = new Set<Disturbance>(['silent', 'requests lost', 'answers lost'])

/** Bytes that a heap may differ by for other reasons: what is compiled, what is buffered. */
const heapSlack = 48 * 1024 * 1024
const slack = 4
const poolSize = 4

/** After all of it, with nothing left to do, the services hold what they held before. */
async function holdNoMore(scene: Scene, linked: readonly Linked[], before: readonly Holdings[]): Promise<void> {
  for (const [at, { member }] of linked.entries()) {
    const { heap, resources } = before[at] as Holdings
    let held: Holdings | undefined
    const hasLetGo = async () => {
      held = await member.holdings()
      const more = Object.entries(held.resources).filter(([name, count]) => count > (resources[name] ?? 0) + slack)
      const clients = await scene.database.query<{ count: number }>(
        'select count(*)::int as count from pg_stat_activity where application_name = $1',
        [member.name],
      )
      return held.heap < heap + heapSlack && more.length === 0 && (clients[0]?.count ?? 0) <= poolSize
    }
    try {
      await scene.until(`${member.name} lets go`, hasLetGo, 60_000)
    } catch {
      scene.complaints.push(
        `${member.name} holds ${JSON.stringify(held)} and held ${JSON.stringify({ heap, resources })}`,
      )
    }
  }
}
