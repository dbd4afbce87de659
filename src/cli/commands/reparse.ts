/** `millrace reparse`: runs items again, and puts their new rows in the place of the old ones. Planned before done. */
import { systemClock } from '../../core/clock.ts'
import { SettingsError } from '../../core/errors.ts'
import { listReparses, openReparse } from '../../reparse/openReparse.ts'
import type { ReparsePlan } from '../../reparse/planReparse.ts'
import type { ReparseReport } from '../../reparse/runReparse.ts'
import type { Selection } from '../../reparse/selection.ts'
import { brokenOff } from '../../service/serviceErrors.ts'
import { loadPlan } from '../loadPlan.ts'
import { columns, type Output } from '../output.ts'
import { count, ProgressLine } from '../progressLine.ts'
import { requireBrokers, requireGroup, requirePostgres } from '../required.ts'
import { type CliSettings, parseTime } from '../settings.ts'
import { outcomesText, type ReparseOptions, type ReparseSurroundings, untilSignal } from './reparseParts.ts'

export async function reparse(
  file: string,
  settings: CliSettings,
  options: ReparseOptions,
  surroundings: ReparseSurroundings,
): Promise<void> {
  const selection = selectionOf(options)
  const plan = await loadPlan(file, surroundings.cwd)
  const { logLevel: _logLevel, from: _from, ...rest } = settings
  const reparser = await openReparse(plan, {
    ...rest,
    group: requireGroup(settings),
    kafka: { ...settings.kafka, brokers: requireBrokers(settings) },
    postgres: requirePostgres(settings),
  })
  try {
    if (options.shadow === true)
      return await (await import('./reparseShadow.ts')).reparseShadow(reparser, options, surroundings)
    const planned =
      options.resume === undefined
        ? await reparser.plan(selection)
        : await reparser.planToResume(wholeNumber('--resume', options.resume))
    print(surroundings, options, () => planText(planned, options.execute === true), { plan: planJson(planned) })
    if (!options.execute || planned.ranges.length === 0) return
    const line = new ProgressLine(surroundings, systemClock)
    const report = await untilSignal((signal) =>
      reparser.run(planned, { signal, ...(options.json ? {} : { onProgress: (now) => line.show(now) }) }),
    ).finally(() => line.end())
    print(surroundings, options, () => reportText(report), { report })
    if (report.broken.length > 0) throw brokenOff(report.broken)
  } finally {
    await reparser.close()
  }
}

export async function listReparsesOf(
  settings: CliSettings,
  { json }: Pick<ReparseOptions, 'json'>,
  { out }: Output,
): Promise<void> {
  const group = requireGroup(settings)
  const reparses = await listReparses(requirePostgres(settings), group)
  if (json) {
    out(`${JSON.stringify(reparses)}\n`)
    return
  }
  if (reparses.length === 0) {
    out(`group "${group}" has no reparses\n`)
    return
  }
  const rows = reparses.map(({ id, state, streams, selection, startedAt, endedAt }) => [
    id,
    state,
    streams.join(', '),
    selectionOfReparse(selection),
    startedAt.toISOString(),
    endedAt?.toISOString() ?? '',
  ])
  out(`${columns(['id', 'state', 'streams', 'selection', 'started at', 'ended at'], rows)}\n`)
}

function selectionOfReparse(selection: string): string {
  if (selection === '{}') return 'everything'
  return selection === '{"shadow":true}' ? 'everything, into new tables' : selection
}

function print(
  { out }: Output,
  { json }: ReparseOptions,
  text: () => string,
  object: Readonly<Record<string, unknown>>,
): void {
  out(json ? `${JSON.stringify(object)}\n` : text())
}

function selectionOf(options: ReparseOptions): Selection {
  const { stream, partition, fromOffset, toOffset, fromTime, toTime, key, fingerprint, resume, shadow } = options
  const part = { partition, fromOffset, toOffset, fromTime, toTime, key, fingerprint, resume }
  if (shadow === true && Object.values(part).some((value) => value !== undefined)) {
    throw refused('--shadow runs whole topics again, and takes no other selection than --stream')
  }
  const selection = { stream, partition, fromOffset, toOffset, fromTime, toTime, key, fingerprint }
  const given = Object.entries(selection).filter(([, value]) => value !== undefined)
  if (resume !== undefined && given.length > 0) {
    throw refused('--resume goes on with what was selected then, and takes no selection of its own')
  }
  if (key !== undefined && fingerprint !== undefined) throw refused('--key and --fingerprint exclude each other')
  return {
    stream,
    key,
    fingerprint,
    partition: optional(partition, (text) => wholeNumber('--partition', text)),
    fromOffset: optional(fromOffset, (text) => wholeNumber('--from-offset', text)),
    toOffset: optional(toOffset, (text) => wholeNumber('--to-offset', text)),
    fromTime: optional(fromTime, (text) => parseTime('--from-time', text)),
    toTime: optional(toTime, (text) => parseTime('--to-time', text)),
  }
}

function optional<T>(text: string | undefined, parse: (text: string) => T): T | undefined {
  return text === undefined ? undefined : parse(text)
}

function wholeNumber(flag: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw refused(`${flag} must be a whole number of at least 0, but is "${text}"`)
}

function refused(what: string): SettingsError {
  return new SettingsError('MR-CLI-SETTING', { what })
}

function recordsOf({ from, to, offsets }: ReparsePlan['ranges'][number]): number {
  return offsets?.length ?? to - from
}

function planText(plan: ReparsePlan, execute: boolean): string {
  const { ranges, oldRows, gone, notes, streams, resumes, drops, key } = plan
  if (ranges.length === 0) return 'There is nothing to run again: no item that the service has done is selected.\n'
  const rows = ranges.map((range) => [range.stream, range.partition, range.from, range.to, recordsOf(range)])
  const lines = [columns(['stream', 'partition', 'from offset', 'to offset', 'records at most'], rows), '']
  if (key !== undefined) lines.push(`Of these, records of key ${JSON.stringify(key)}.`)
  const tables = streams.flatMap((stream) => stream.tables)
  lines.push(
    oldRows.length === 0
      ? `No row of theirs is tracked. They write ${tables.length === 0 ? 'no table that a step names' : tables.join(', ')}.`
      : columns(
          ['table', 'rows made', 'by items'],
          oldRows.map(({ table, rows: made, items }) => [table, made, items]),
        ),
  )
  for (const { stream, partition, from, to, rows: lost } of gone) {
    const what = lost.map(({ table, rows: made }) => `${count(made)} in ${table}`).join(', ')
    lines.push(`Gone from the log: ${stream}[${partition}], records ${from} to ${to - 1}. Their rows stay: ${what}.`)
  }
  if (notes.length > 0) lines.push('', 'What depends on more than the item:', ...notes.map((note) => `  ${note}`))
  if (resumes !== undefined) lines.push('', `Goes on with reparse ${resumes.id}, which was interrupted.`)
  if (drops !== undefined) lines.push('', `Gives up reparse ${drops.id}, which was begun with another plan.`)
  if (!execute) lines.push('', 'Nothing has been changed. Add --execute to do it; the service may go on meanwhile.')
  return `${lines.join('\n')}\n`
}

function reportText({ id, state, items, rows, outcomes, streams, gone, broken }: ReparseReport): string {
  const lines = [
    `reparse ${id}: ${count(items)} items, ${count(rows)} rows${items === 0 ? '' : `; ${outcomesText(outcomes)}`}`,
  ]
  for (const [name, counts] of Object.entries(streams)) lines.push(`  stream "${name}": ${outcomesText(counts)}`)
  for (const { table, rows: kept } of gone) {
    lines.push(`  ${count(kept)} rows of ${table} stay as they were: the log has their records no more`)
  }
  if (state === 'stopped' && broken.length === 0) lines.push('Stopped. The same command goes on from here.')
  return `${lines.join('\n')}\n`
}

function planJson({ app, streams, ranges, oldRows, gone, notes, resumes, drops }: ReparsePlan): object {
  return {
    group: app,
    streams: streams.map(({ name, tables }) => ({ name, tables })),
    ranges: ranges.map(({ offsets: _offsets, ...range }) => ({
      ...range,
      records: recordsOf({ ...range, offsets: _offsets }),
    })),
    oldRows,
    gone,
    notes,
    resumes: resumes?.id ?? null,
    drops: drops?.id ?? null,
  }
}
