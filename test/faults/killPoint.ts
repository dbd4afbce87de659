/**
 * Loaded into a service process before its program (`node --import`), so that the product needs no hooks for tests.
 *
 * - At a named point ({@link points}) the process strikes itself when the file `FAULTS_ARM` says so. What it reached is in
 *   the file `FAULTS_MARKS` before: written synchronously, so it is there however the process ends.
 * - Connections to the port before the `=` in `FAULTS_REDIRECT` go to the one behind it: brokers tell clients their own
 *   address, and a proxy has to stand in between all the same.
 * - SIGUSR2 writes what the process holds to the file `FAULTS_REPORT`.
 */
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import pg from 'pg'
import type { Arming, Point } from './points.ts'

const { FAULTS_ARM: armFile = '', FAULTS_MARKS: marksFile = '', FAULTS_REPORT: reportFile = '' } = process.env

function reached(point: Point): void {
  if (!existsSync(armFile)) return
  const arming = JSON.parse(readFileSync(armFile, 'utf8')) as Arming
  if (arming.point !== point) return
  rmSync(armFile)
  appendFileSync(marksFile, `${point}\n`)
  process.kill(process.pid, arming.signal)
}

/** The points on both sides of a statement: when it is about to be sent, when it has been, and when it was answered. */
interface Around {
  readonly before?: Point
  readonly sent?: Point
  readonly answered?: Point
}

function around(text: string): Around {
  if (text.startsWith('select * from millrace.claim(')) return { sent: 'claim sent', answered: 'claim answered' }
  if (text.startsWith('begin; select millrace.fence')) return { before: 'before begin', answered: 'fence answered' }
  if (text.includes('insert into millrace.errors')) return { answered: 'collector answered' }
  if (text === 'commit') return { before: 'before commit', sent: 'commit sent', answered: 'commit answered' }
  return {}
}

const { query } = pg.Client.prototype as unknown as { query: (...args: unknown[]) => unknown }
Object.assign(pg.Client.prototype, {
  query(this: { justCommitted?: boolean }, ...args: unknown[]): unknown {
    const [first] = args
    if (isCopy(first)) return query.call(this, markedCopy(first))
    const text = typeof first === 'string' ? first : ''
    const { before, sent, answered } = around(text)
    if (before !== undefined) reached(before)
    const result = query.apply(this, args)
    if (sent !== undefined) reached(sent)
    if (text === 'commit') this.justCommitted = true
    return answered === undefined
      ? result
      : (result as Promise<unknown>).then((value) => {
          reached(answered)
          return value
        })
  },
})

interface Copy {
  submit: unknown
  handleReadyForQuery(): void
}

function isCopy(query: unknown): query is Copy {
  return typeof (query as Partial<Copy> | undefined)?.submit === 'function'
}

function markedCopy(copy: Copy): Copy {
  const handle = copy.handleReadyForQuery
  copy.handleReadyForQuery = () => {
    reached('rows answered')
    handle.call(copy)
  }
  return copy
}

interface Releasing {
  _release(client: { justCommitted?: boolean }, ...rest: unknown[]): unknown
}
const pool = pg.Pool.prototype as unknown as Releasing
const { _release: release } = pool
pool._release = function (client, ...rest) {
  const result = release.call(this, client, ...rest)
  if (client.justCommitted === true) reached('connection given back')
  client.justCommitted = false
  return result
}

/** Numbers of Kafka's requests. */
const offsetCommit = 8
const joinGroup = 11
const heartbeat = 12
const leaveGroup = 13
let isMember = false

const { write, connect } = net.Socket.prototype as unknown as Record<string, (...args: unknown[]) => unknown>
Object.assign(net.Socket.prototype, {
  write(this: unknown, ...args: unknown[]): unknown {
    const result = write?.apply(this, args)
    const request = requestIn(args[0])
    if (request === heartbeat) isMember = true
    else if (request === offsetCommit) reached('hint sent')
    else if (request === joinGroup && isMember) reached('revoked')
    else if (request === leaveGroup) reached('leaving')
    return result
  },
  connect(this: unknown, ...args: unknown[]): unknown {
    // Either the options, or node's own list of them and a callback.
    const options = Array.isArray(args[0]) ? args[0][0] : args[0]
    const [from, to] = (process.env.FAULTS_REDIRECT ?? '').split('=')
    if (from !== '' && isOptions(options) && String(options.port) === from) options.port = Number(to)
    return connect?.apply(this, args)
  },
})

function isOptions(options: unknown): options is { port: number } {
  return typeof options === 'object' && options !== null && 'port' in options
}

/** The number of the Kafka request that is written; requests are written one at a time, with their size before them. */
function requestIn(bytes: unknown): number | undefined {
  if (!Buffer.isBuffer(bytes) || bytes.length < 8 || bytes.readInt32BE(0) !== bytes.length - 4) return undefined
  return bytes.readInt16BE(4)
}

/** What a process holds on to. */
export interface Holdings {
  /** Bytes of the heap after a collection. */
  readonly heap: number
  /** Names of what keeps the event loop alive, by number. */
  readonly resources: Readonly<Record<string, number>>
}

process.on('SIGUSR2', () => {
  globalThis.gc?.()
  const resources: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1
  const holdings: Holdings = { heap: process.memoryUsage().heapUsed, resources }
  writeFileSync(`${reportFile}.new`, JSON.stringify(holdings))
  renameSync(`${reportFile}.new`, reportFile)
})
