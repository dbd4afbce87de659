/** `millrace errors list`, `show` and `stats`: looking into the error collector. */
import { type ErrorState, errorStates, type StateCounts, unsettledStates } from '../../postgres/errorFilter.ts'
import type { ErrorsAdmin, HaltedTask } from '../../postgres/errorsAdmin.ts'
import type { ErrorDetail, ErrorEntry, ErrorGroup, StreamErrors } from '../../postgres/errorsRead.ts'
import { resolvePostgres } from '../../service/settings.ts'
import { type FilterOptions, filterOf, idOf, wholeNumber } from '../errorFilter.ts'
import { columns, type Output } from '../output.ts'
import { bytesAsJson, bytesAsSeen, keyText, lineOf, textOf } from '../readable.ts'
import { requireGroup, requirePostgres } from '../required.ts'
import type { CliSettings } from '../settings.ts'
import { timeText } from '../times.ts'

export interface ListOptions extends FilterOptions {
  readonly items?: boolean
  readonly limit?: string
  readonly json?: boolean
}

const usualLimit = '50'

/** Lets `work` ask the collector, and closes the connection. */
export async function withErrors<T>(settings: CliSettings, work: (admin: ErrorsAdmin) => Promise<T>): Promise<T> {
  const { createErrorsAdmin } = await import('../../postgres/errorsAdmin.ts')
  const admin = createErrorsAdmin(resolvePostgres(requirePostgres(settings)))
  try {
    return await work(admin)
  } finally {
    await admin.close()
  }
}

export async function listErrors(settings: CliSettings, options: ListOptions, output: Output): Promise<void> {
  const filter = filterOf(settings, options, unsettledStates)
  const limit = wholeNumber('--limit', options.limit ?? usualLimit, 1_000_000)
  // One more than is shown tells whether there are more.
  if (options.items) {
    const found = await withErrors(settings, (admin) => admin.items(filter, limit + 1))
    printList(found, { limit, json: options.json, toJson: entryJson, table: entryTable, app: filter.app }, output)
  } else {
    const found = await withErrors(settings, (admin) => admin.groups(filter, limit + 1))
    printList(found, { limit, json: options.json, toJson: groupJson, table: groupTable, app: filter.app }, output)
  }
}

interface ListParts<T> {
  readonly limit: number
  readonly json: boolean | undefined
  readonly toJson: (entry: T) => object
  readonly table: (entries: readonly T[]) => string
  readonly app: string
}

function printList<T>(found: readonly T[], { limit, json, toJson, table, app }: ListParts<T>, { out }: Output): void {
  const entries = found.slice(0, limit)
  if (json) out(`${JSON.stringify(entries.map(toJson), undefined, 2)}\n`)
  else if (entries.length === 0) out(`the error collector of group "${app}" holds nothing of this kind\n`)
  else out(`${table(entries)}\n${found.length > limit ? `… and more: raise --limit ${limit}\n` : ''}`)
}

function groupTable(groups: readonly ErrorGroup[]): string {
  return columns(
    ['items', 'state', 'stream', 'step', 'last failed', 'fingerprint', 'newest', 'error'],
    groups.map(({ items, states, stream, step, lastAt, fingerprint, id, error }) => {
      return [items, statesText(states), stream, step, timeText(lastAt), fingerprint, Number(id), errorLine(error)]
    }),
  )
}

function groupJson({ firstAt, lastAt, ...rest }: ErrorGroup): object {
  return { ...rest, firstAt: firstAt.toISOString(), lastAt: lastAt.toISOString() }
}

function entryTable(entries: readonly ErrorEntry[]): string {
  return columns(
    ['id', 'state', 'stream', 'step', 'position', 'key', 'tries', 'last failed', 'error'],
    entries.map((entry) => [
      Number(entry.id),
      entry.state,
      entry.stream,
      entry.step,
      positionText(entry),
      lineOf(keyText(entry.key), 40),
      entry.attempts,
      timeText(entry.collectedAt),
      errorLine(entry.error),
    ]),
  )
}

function entryJson({ key, collectedAt, retryAt, ...rest }: ErrorEntry): object {
  return {
    ...rest,
    key: key === null ? null : keyText(key),
    collectedAt: collectedAt.toISOString(),
    retryAt: retryAt?.toISOString() ?? null,
  }
}

export async function showError(
  settings: CliSettings,
  id: string,
  { json }: { readonly json?: boolean },
  { out }: Output,
): Promise<void> {
  const item = await withErrors(settings, (admin) => admin.item(requireGroup(settings), idOf('ID', id)))
  out(json ? `${JSON.stringify(detailJson(item), undefined, 2)}\n` : detailText(item))
}

function detailJson(item: ErrorDetail): object {
  const { value, headers, timestamp, settledAt, ...entry } = item
  return {
    ...entryJson(entry),
    timestamp: timestamp?.toISOString() ?? null,
    value: bytesAsJson(value),
    headers: headers.map((header) => ({ key: header.key, value: bytesAsJson(header.value) })),
    settledAt: settledAt?.toISOString() ?? null,
  }
}

function detailText(item: ErrorDetail): string {
  const { error, value, headers, history } = item
  const facts: (readonly [name: string, text: string | null])[] = [
    ['stream', item.stream === item.taskStream ? item.stream : `${item.stream}, in a task of ${item.taskStream}`],
    ['step', item.step],
    ['position', positionText(item)],
    ['key', item.key === null ? null : lineOf(keyText(item.key), 1_000)],
    ['written', item.timestamp === null ? null : timeText(item.timestamp)],
    ['failed', `${timeText(item.collectedAt)}, ${item.attempts === 1 ? '1 try' : `${item.attempts} tries`} so far`],
    ['tried again', item.retryAt === null ? null : timeText(item.retryAt)],
    ['settled', item.settledAt === null ? null : timeText(item.settledAt)],
    ['remembers', item.remembers ? 'what outside calls have answered: they are not made again' : null],
    ['fingerprint', item.fingerprint],
    ['code', error.code],
    ['at', item.atLine],
  ]
  const named = facts.flatMap(([name, text]) => (text === null ? [] : [`  ${name.padEnd(12)} ${textOf(text)}`]))
  const parts = [
    `item ${item.id}: ${item.state}`,
    ...named,
    section('error', `${error.name}: ${error.message}`),
    ...(error.stack === null ? [] : [section('stack', error.stack)]),
    ...(headers.length === 0 ? [] : [section('headers', headers.map(headerText).join('\n'))]),
    valueSection(value, item.cutFrom),
    ...(history.length === 0 ? [] : [section('earlier failures', history.map(historyText).join('\n'))]),
  ]
  return `${parts.join('\n')}\n`
}

function section(title: string, text: string): string {
  return `\n${title}\n  ${textOf(text).replaceAll('\n', '\n  ')}`
}

function headerText({ key, value }: ErrorDetail['headers'][number]): string {
  return `${key}: ${value === null ? 'null' : lineOf(bytesAsSeen(value).text, 500)}`
}

function valueSection(value: Buffer | null, cutFrom: number | null): string {
  if (value === null) return section('value', 'none')
  const { kind, text } = bytesAsSeen(value)
  const cut = cutFrom === null ? '' : `; it had ${cutFrom}, is kept cut, and cannot be replayed`
  return section(`value (${kind}, ${value.length} bytes${cut})`, text)
}

function historyText({ at, step, name, message, attempts }: ErrorDetail['history'][number]): string {
  return `${timeText(new Date(at))}  try ${attempts}  ${step}  ${errorLine({ name, message })}`
}

export interface StatsOptions extends FilterOptions {
  readonly json?: boolean
}

export async function errorStats(settings: CliSettings, options: StatsOptions, { out }: Output): Promise<void> {
  const filter = filterOf(settings, options, undefined)
  const { streams, halted } = await withErrors(settings, async (admin) => ({
    streams: await admin.stats(filter),
    halted: await admin.halted(filter.app, filter.stream),
  }))
  if (options.json) {
    out(`${JSON.stringify({ streams: streams.map(statsJson), halted: halted.map(haltedJson) }, undefined, 2)}\n`)
    return
  }
  if (streams.length === 0) out(`the error collector of group "${filter.app}" holds nothing of this kind\n`)
  else out(`${statsTable(streams)}\n`)
  if (halted.length > 0) out(`\n${haltedTable(halted)}\n`)
}

function statsTable(streams: readonly StreamErrors[]): string {
  return columns(
    ['stream', ...errorStates, 'kinds', 'last hour', 'oldest', 'bytes'],
    streams.map(({ stream, states, groups, lastHour, oldestAt, bytes }) => {
      const counts = errorStates.map((state: ErrorState) => states[state] ?? 0)
      return [stream, ...counts, groups, lastHour, oldestAt === null ? '' : timeText(oldestAt), bytes]
    }),
  )
}

function statsJson({ oldestAt, ...rest }: StreamErrors): object {
  return { ...rest, oldestAt: oldestAt?.toISOString() ?? null }
}

function haltedJson({ at, ...rest }: HaltedTask): object {
  return { ...rest, at: at.toISOString() }
}

/** Tasks that do not run, with the reason. */
export function haltedTable(halted: readonly HaltedTask[]): string {
  return columns(
    ['halted', 'partition', 'since', 'reason'],
    halted.map(({ stream, partition, at, reason }) => [stream, partition, timeText(at), lineOf(reason, 200)]),
  )
}

function statesText(states: StateCounts): string {
  const present = errorStates.filter((state) => states[state] !== undefined)
  return present.length === 1 ? String(present[0]) : present.map((state) => `${states[state]} ${state}`).join(', ')
}

/** What RxJS gave back has no record, and so no position. */
function positionText({ topic, partition, offset }: Pick<ErrorEntry, 'topic' | 'partition' | 'offset'>): string {
  return `${topic}[${partition}]${offset < 0 ? '' : `@${offset}`}`
}

/** An error on one line. */
export function errorLine({ name, message }: { readonly name: string; readonly message: string }): string {
  return lineOf(`${name}: ${message}`, 100)
}
