/**
 * Notices that the event loop was kept busy, and by which step. While a callback works, nothing else of this thread runs, so
 * a second one looks on. When the beat of this thread stays out, it asks through Node's inspector, which is answered in the
 * midst of a loop or of a regular expression, what runs right now; so nothing has to be noted for each item on the way.
 *
 * The second thread sleeps between its looks, and shares 8 bytes with this one.
 */
import { Worker } from 'node:worker_threads'
import { messageOf, type Place } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import { Cursor } from '../runtime/cursor.ts'

/** Goes up while the event loop turns. */
const beatCell = 0
/** Goes up with every look of the second thread. */
const lookCell = 1

export interface LoopWatchOptions {
  /** How long the event loop may be kept before that is told of. */
  readonly blockedAfterMs: number
  /** Beyond this nobody can count on the callback's return. Default 30,000: the default session has ended by then. */
  readonly endlessAfterMs?: number
}

/** What ran while the event loop stood still, and how often it was seen. */
interface Sighting {
  readonly place: Place | undefined
  /** The innermost calls. */
  readonly calls: readonly string[]
  times: number
}

/** Between two lines about one step, which else would be as many as its items. */
const tellEveryMs = 10_000

/** Where the inspector finds the watches of a process. */
const registry = Symbol.for('millrace.loopWatches')

type Registry = { [registry]?: Map<number, () => string> }

let watches = 0

export class LoopWatch {
  readonly cursor = new Cursor()
  readonly #id = ++watches
  readonly #cells = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT))
  readonly #log: Logger
  readonly #blockedAfterMs: number
  readonly #endlessAfterMs: number
  readonly #everyMs: number
  readonly #lookEveryMs: number
  readonly #sightings = new Map<string, Sighting>()
  readonly #toldAt = new Map<string, number>()
  #worker: Worker | undefined
  #timer: NodeJS.Timeout | undefined
  #beatAt = 0
  #looks = 0

  constructor({ blockedAfterMs, endlessAfterMs = 30_000 }: LoopWatchOptions, log: Logger) {
    this.#blockedAfterMs = blockedAfterMs
    this.#endlessAfterMs = Math.max(endlessAfterMs, blockedAfterMs)
    this.#everyMs = blockedAfterMs / 4
    this.#lookEveryMs = blockedAfterMs / 10
    this.#log = log
  }

  /** Whether the second thread looks on; it takes a moment to begin. */
  get isWatched(): boolean {
    return Atomics.load(this.#cells, lookCell) > 0
  }

  /** How often the running callback has been seen so far. */
  get sightings(): number {
    return [...this.#sightings.values()].reduce((sum, { times }) => sum + times, 0)
  }

  start(): void {
    const known = registryOf()
    known.set(this.#id, () => this.#see())
    try {
      this.#worker = new Worker(lookOn, {
        eval: true,
        execArgv: [],
        env: {},
        name: 'millrace event loop watch',
        resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
        workerData: {
          cells: this.#cells,
          beatCell,
          lookCell,
          everyMs: this.#lookEveryMs,
          askAfterMs: this.#blockedAfterMs / 2,
          endlessAfterMs: this.#endlessAfterMs,
          question: `globalThis[Symbol.for('millrace.loopWatches')]?.get(${this.#id})?.()`,
        },
      })
      this.#worker.unref()
      this.#worker.on('error', (error) => this.#cannotLook(error))
    } catch (error) {
      this.#cannotLook(error)
    }
    this.#beatAt = performance.now()
    this.#timer = setInterval(() => this.#beat(), this.#everyMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    registryOf().delete(this.#id)
    void this.#worker?.terminate()
    this.#worker = undefined
  }

  /** Where threads or the inspector are not to be had, a block is still told of, without its step. */
  #cannotLook(error: unknown): void {
    this.#worker = undefined
    this.#log.debug({ error: messageOf(error) }, 'which step keeps the event loop busy will not be known')
  }

  /** Called by the inspector, in the midst of whatever runs. */
  #see(): string {
    const place = this.cursor.place()
    const key = `${place?.stream} ${place?.partition} ${place?.step}`
    const known = this.#sightings.get(key)
    if (known === undefined) this.#sightings.set(key, { place, calls: innermostCalls(), times: 1 })
    else known.times++
    return place === undefined
      ? innermostCalls().join(' < ')
      : `stream "${place.stream}", step "${place.step}", ${place.topic}[${place.partition}]@${place.offset}`
  }

  #beat(): void {
    const now = performance.now()
    const blockedMs = Math.round(now - this.#beatAt - this.#everyMs)
    const looks = Atomics.load(this.#cells, lookCell) - this.#looks
    if (blockedMs >= this.#blockedAfterMs) this.#tell(blockedMs, now, looks)
    this.#beatAt = now
    this.#looks += looks
    this.#sightings.clear()
    Atomics.add(this.#cells, beatCell, 1)
  }

  #tell(blockedMs: number, now: number, looks: number): void {
    const [most] = [...this.#sightings.values()].sort((a, b) => b.times - a.times)
    // Where the other thread has slept as well, no callback is to blame.
    const lookedMs = looks * this.#lookEveryMs
    const stoodStill = most === undefined && this.isWatched && lookedMs < blockedMs / 4
    const key = stoodStill ? 'process' : `${most?.place?.stream} ${most?.place?.step}`
    if (now - (this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) < tellEveryMs) return
    this.#toldAt.set(key, now)
    const calls = most === undefined || most.calls.length === 0 ? {} : { calls: most.calls }
    const step = most?.place?.step
    this.#log.warn(
      { ...most?.place, blockedMs, ...calls },
      stoodStill ? wholeProcess : step === undefined ? somethingElse : aStep(step),
    )
  }
}

function registryOf(): Map<number, () => string> {
  const holder = globalThis as Registry
  holder[registry] ??= new Map()
  return holder[registry]
}

/** The user's part of the stack: from the innermost call to where this package called it. */
function innermostCalls(): string[] {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 30
  const { stack = '' } = new Error()
  Error.stackTraceLimit = limit
  const lines = stack.split('\n').map((line) => line.trim().replace(/^at /, ''))
  const begin = lines.findIndex((line) => line.startsWith('<anonymous>:')) + 1
  const own = lines.findIndex((line, index) => index >= begin && ownFolders.some((own) => line.includes(own)))
  return lines.slice(begin, own < 0 ? undefined : own).slice(0, 5)
}

/** Of this package, as its paths stand in a stack. */
const ownFolders = ['../', '../../operators/'].map((path) => new URL(path, import.meta.url).pathname)

const loses = 'after the session timeout the group gives the partitions to another member'

const cost = `Nothing else ran meanwhile, not even heartbeats: ${loses}.`

function aStep(step: string): string {
  return `step "${step}" has kept the event loop busy. ${cost} Make its callback quicker, or let a worker thread do the work and call that with mapAsync().`
}

const somethingElse = `the event loop was kept busy by no synchronous step of the plan: by what follows an await in mapAsync(), a timer, other code of this process, or an overloaded machine. ${cost}`

const wholeProcess = `the whole process stood still: it was stopped, or the machine is overloaded or was asleep; ${loses}`

/** What the second thread runs. Plain text: it has to run wherever this package does, bundled or not. */
const lookOn = `
const { writeSync } = require('node:fs')
const { Session } = require('node:inspector')
const { workerData } = require('node:worker_threads')
const { cells, beatCell, lookCell, everyMs, askAfterMs, endlessAfterMs, question } = workerData
let beat = -1
let lookedAt = performance.now()
let since = lookedAt
let told = false
let asking = false
setInterval(() => {
  const now = performance.now()
  // While this thread stood still as well, the process was stopped.
  if (now - lookedAt > 4 * everyMs) since += now - lookedAt
  lookedAt = now
  Atomics.add(cells, lookCell, 1)
  if (Atomics.load(cells, beatCell) !== beat) {
    beat = Atomics.load(cells, beatCell)
    since = now
    told = false
    return
  }
  const blockedMs = now - since
  if (blockedMs >= askAfterMs && !asking) ask(blockedMs)
  if (blockedMs >= 2 * endlessAfterMs) tell(blockedMs, '')
}, everyMs)

function ask(blockedMs) {
  asking = true
  const session = new Session()
  session.connectToMainThread()
  session.post('Runtime.evaluate', { expression: question, silent: true }, (_, answer) => {
    // A session that stays would keep the process from ending.
    session.disconnect()
    asking = false
    if (blockedMs >= endlessAfterMs) tell(blockedMs, answer?.result?.value)
  })
}

function tell(blockedMs, place) {
  if (told) return
  told = true
  writeSync(2, 'millrace: the event loop has been kept busy for ' + Math.round(blockedMs / 1000) + ' s' + (place ? ' (' + place + ')' : '') + '\\n'
    + '  A callback does not come back, and nothing else of this process can run: a loop without an end, or a regular expression that backtracks.\\n'
    + '  Nothing of the open batch is committed. End the process; the next one begins again with that batch.  MR-RUN-BLOCKED\\n')
}
`
