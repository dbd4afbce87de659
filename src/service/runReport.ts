/** What a run to the end of its input has done. */
import { messageOf } from '../core/errors.ts'
import { noOutcomes, type OutcomeCounts, outcomeNames } from '../core/outcome.ts'
import type { Batch } from '../runtime/batch.ts'
import type { BatchEnd } from '../runtime/closeBatch.ts'
import type { CommitReport } from '../runtime/commitReport.ts'

/** Collected items that a report tells of one by one; all of them are in the error collector. */
const toldErrors = 10
/** Reasons are a user's texts and may hold values: beyond this many different ones they are counted together. */
const maxReasons = 1_000

/** An item that was put into the error collector. */
export interface CollectedNote {
  /** What the input is called: `array`, the path of a file, `query`. */
  readonly topic: string
  /** The item's number from 0; undefined for a value that `pipe()` gave back, which has no item. */
  readonly offset: number | undefined
  readonly step: string
  readonly message: string
}

/** What a run did with one stream. Items: done + filtered + continued + ignored + collected + deferred, and 1 that broke off, if one did. */
export interface StreamReport {
  readonly stream: string
  /** What the input is called. */
  readonly source: string
  /** Items that earlier runs of the same name have dealt with; 0 without a name. */
  readonly before: number
  /** Items that this run took from the input. */
  readonly items: number
  readonly done: number
  readonly filtered: number
  readonly continued: number
  readonly ignored: number
  readonly collected: number
  /** Items that are to be tried again later, or wait for one that is. */
  readonly deferred: number
  /** Items behind the one that broke the run off, or after which it was halted. */
  readonly unprocessed: number
  /** Whether the input may hold more than `unprocessed` says: it was not read to its end. */
  readonly isMoreUnread: boolean
  /** Rows that were given to tables. Several of one key are one row in an upsert. */
  readonly rows: number
  /** Reasons of ignored items, with how many gave each. */
  readonly ignoredReasons: Readonly<Record<string, number>>
  /** The first few collected items. */
  readonly errors: readonly CollectedNote[]
  /** Where and why the run of the stream ended before its input did. */
  readonly stopped: StreamStop | undefined
}

export interface StreamStop {
  readonly kind: 'break' | 'halted'
  /** The item that broke the run off; of a halted stream, the first one that was not taken. */
  readonly offset: number
  readonly reason: string | undefined
}

export interface RunReportParts {
  readonly name: string | undefined
  readonly group: string
  readonly commits: number
  readonly replayed: number
  readonly tookMs: number
  readonly streams: readonly StreamReport[]
}

/** What `run` has done. `String(report)` is a text for people. */
export class RunReport {
  /** The run's name; undefined when it was given none. */
  readonly name: string | undefined
  /** What the error collector has the items of this run under: the name, or one of its own. */
  readonly group: string
  /** Transactions. */
  readonly commits: number
  /** Items of the error collector that were run again, because somebody had asked for it or their time had come. */
  readonly replayed: number
  readonly tookMs: number
  /** One for each stream, in the order of the plan; behind each the streams that depend on it or are triggered by it. */
  readonly streams: readonly StreamReport[]

  constructor({ name, group, commits, replayed, tookMs, streams }: RunReportParts) {
    this.name = name
    this.group = group
    this.commits = commits
    this.replayed = replayed
    this.tookMs = tookMs
    this.streams = streams
  }

  /** Items in the error collector because of this run, in all streams. */
  get collected(): number {
    return this.streams.reduce((sum, { collected }) => sum + collected, 0)
  }

  toString(): string {
    const title = this.name === undefined ? 'run' : `run "${this.name}"`
    const seconds = (this.tookMs / 1_000).toFixed(1)
    const lines = [`${title}: ${counted(this.commits, 'transaction')}, ${seconds} s`]
    if (this.replayed > 0) lines.push(`  ${counted(this.replayed, 'item')} of the error collector run again`)
    for (const stream of this.streams) lines.push(...streamLines(stream, this.group).map((line) => `  ${line}`))
    return lines.join('\n')
  }
}

function streamLines(report: StreamReport, group: string): string[] {
  const { stream, source, before, items, rows, ignoredReasons, errors, collected, stopped } = report
  const counts = (['done', 'filtered', 'continued', 'ignored', 'collected', 'deferred'] as const)
    .filter((name) => report[name] > 0)
    .map((name) => `${number(report[name])} ${name}`)
  if (stopped?.kind === 'break') counts.push('1 broken')
  const lines = [
    `stream "${stream}" from ${source}: ${counted(items, 'item')}${counts.length === 0 ? '' : ` (${counts.join(', ')})`}`,
  ]
  if (before > 0) {
    const nothing = items === 0 && stopped === undefined ? 'nothing was left to do: ' : ''
    lines.push(`  ${nothing}earlier runs of this name have dealt with ${counted(before, 'item')}`)
  }
  lines.push(`  ${counted(rows, 'row')} written`)
  const reasons = Object.entries(ignoredReasons).sort(([, a], [, b]) => b - a)
  for (const [reason, count] of reasons.slice(0, toldErrors)) lines.push(`  ignored ${number(count)} ×: ${reason}`)
  if (errors.length > 0) lines.push(`  collected in millrace.errors, group "${group}":`)
  for (const { topic, offset, step, message } of errors) {
    const [first = ''] = message.split('\n')
    lines.push(`    ${topic}${offset === undefined ? '' : `@${offset}`}, step "${step}": ${first}`)
  }
  if (errors.length > 0 && collected > errors.length) lines.push(`    and ${number(collected - errors.length)} more`)
  if (stopped !== undefined) {
    const reason = stopped.reason === undefined ? '' : `: ${stopped.reason}`
    lines.push(`  ${stopped.kind === 'break' ? 'broken off' : 'halted'} at ${source}@${stopped.offset}${reason}`)
    lines.push(`  ${report.isMoreUnread ? 'at least ' : ''}${number(report.unprocessed)} unprocessed behind it`)
  }
  return lines
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}

function counted(count: number, unit: string): string {
  return `${number(count)} ${unit}${count === 1 ? '' : 's'}`
}

/** Counts of one stream as they come in. */
class Counts {
  readonly outcomes: OutcomeCounts = noOutcomes()
  rows = 0
  readonly reasons = new Map<string, number>()
  readonly errors: CollectedNote[] = []

  add(outcomes: OutcomeCounts): void {
    for (const name of outcomeNames) this.outcomes[name] += outcomes[name]
  }

  ignore(reason = '(no reason)'): void {
    const known = this.reasons.has(reason) || this.reasons.size < maxReasons ? reason : '(other reasons)'
    this.reasons.set(known, (this.reasons.get(known) ?? 0) + 1)
  }

  note(note: CollectedNote): void {
    if (this.errors.length < toldErrors) this.errors.push(note)
  }
}

/** Adds up what the batches of one task did: of its own stream, and of those that go with it. */
export class RunTally {
  commits = 0
  replayed = 0
  stopped: StreamStop | undefined
  /** Whether the input was used up, or ended by what a callback or the error budget said. */
  hasEnded = false
  readonly #stream: string
  readonly #source: string
  readonly #counts = new Map<string, Counts>()

  constructor(stream: string, source: string) {
    this.#stream = stream
    this.#source = source
    this.#countsOf(stream)
  }

  ended(batch: Batch, { broke, halted, items }: BatchEnd): void {
    if (batch.waiting !== undefined) this.replayed += items
    this.#addRows(batch)
    for (const { item, stream, fall } of batch.fallen()) {
      if (fall.kind === 'ignored') this.#countsOf(stream).ignore(fall.reason)
      if (fall.kind !== 'collected') continue
      const { records, index } = batch.locate(item)
      const offset = records.offset(index)
      this.#countsOf(stream).note({ topic: this.#source, offset, step: fall.step, message: messageOf(fall.error) })
    }
    for (const fall of batch.falls.stray.values()) {
      if (fall.kind !== 'collected') continue
      const message = messageOf(fall.error)
      this.#countsOf(this.#stream).note({ topic: this.#source, offset: undefined, step: fall.step, message })
    }
    if (broke?.offset !== undefined) this.stopped = { kind: 'break', offset: broke.offset, reason: broke.reason }
    if (halted !== undefined) this.stopped = { kind: 'halted', offset: -1, reason: halted }
  }

  committed({ reason, outcomes, streams, items, rows, inputs }: CommitReport): void {
    if (items > 0 || rows > 0) this.commits++
    if (reason === 'drained' || this.stopped !== undefined) this.hasEnded = true
    if (this.stopped?.kind === 'halted') this.stopped = { ...this.stopped, offset: inputs[0]?.nextOffset ?? -1 }
    // What comes from the error collector was counted when it went there.
    if (reason === 'waiting') return
    this.#countsOf(this.#stream).add(outcomes)
    for (const { stream, outcomes: own } of streams) this.#countsOf(stream).add(own)
  }

  /** @param known items of the whole input, as far as that is known */
  reports(before: number, known: { readonly items: number; readonly all: boolean }): StreamReport[] {
    const { stopped } = this
    return [...this.#counts].map(([stream, counts]) => {
      const { outcomes, rows, reasons, errors } = counts
      const isOwn = stream === this.#stream
      const broken = isOwn && stopped?.kind === 'break' ? 1 : 0
      const { done, filtered, continued, ignored, collected, deferred } = outcomes
      const behind = stopped === undefined || !isOwn ? 0 : Math.max(0, known.items - stopped.offset - broken)
      return {
        stream,
        source: this.#source,
        before: isOwn ? before : 0,
        items: done + filtered + continued + ignored + collected + deferred + broken,
        ...{ done, filtered, continued, ignored, collected, deferred },
        unprocessed: behind,
        isMoreUnread: isOwn && stopped !== undefined && !known.all,
        rows,
        ignoredReasons: Object.fromEntries(reasons),
        errors,
        stopped: isOwn ? stopped : undefined,
      }
    })
  }

  #addRows(batch: Batch): void {
    const names = batch.streams.map(({ name }) => this.#countsOf(name))
    for (const buffer of batch.writeSet.buffers) {
      buffer.eachOwner((owner) => {
        const counts = names[batch.owners.streamIndexOf(owner)]
        if (counts !== undefined && batch.position(owner) !== undefined) counts.rows++
      })
    }
  }

  #countsOf(stream: string): Counts {
    let counts = this.#counts.get(stream)
    if (counts === undefined) {
      counts = new Counts()
      this.#counts.set(stream, counts)
    }
    return counts
  }
}
