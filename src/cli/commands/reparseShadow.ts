/** `millrace reparse --shadow`: makes whole tables anew beside those that are there, and swaps them. Planned before done. */
import { systemClock } from '../../core/clock.ts'
import { SettingsError } from '../../core/errors.ts'
import { dropReparse, planDrop, type Reparser } from '../../reparse/openReparse.ts'
import type { ShadowPlan } from '../../reparse/planShadow.ts'
import type { ShadowReport } from '../../reparse/runShadow.ts'
import type { Output } from '../output.ts'
import { columns } from '../output.ts'
import { count, ProgressLine } from '../progressLine.ts'
import { requireGroup, requirePostgres } from '../required.ts'
import type { CliSettings } from '../settings.ts'
import { outcomesText, type ReparseOptions, type ReparseSurroundings, untilSignal } from './reparseParts.ts'

export async function reparseShadow(
  reparser: Reparser,
  options: ReparseOptions,
  surroundings: ReparseSurroundings,
): Promise<void> {
  const { out } = surroundings
  const planned = await reparser.planShadow(options.stream)
  out(options.json ? `${JSON.stringify({ plan: planJson(planned) })}\n` : planText(planned, options.execute === true))
  if (!options.execute) return
  const line = new ProgressLine(surroundings, systemClock)
  const report = await untilSignal((signal) =>
    reparser.runShadow(planned, { signal, ...(options.json ? {} : { onProgress: (now) => line.show(now) }) }),
  ).finally(() => line.end())
  out(options.json ? `${JSON.stringify({ report })}\n` : reportText(report))
}

/** `millrace reparse drop`. */
export async function drop(
  id: string,
  settings: CliSettings,
  { execute, json }: Pick<ReparseOptions, 'execute' | 'json'>,
  { out }: Output,
): Promise<void> {
  if (!/^\d{1,9}$/.test(id)) {
    throw new SettingsError('MR-CLI-SETTING', {
      what: `the number of a reparse is a whole number, but this is "${id}"`,
    })
  }
  const postgres = requirePostgres(settings)
  const { reparse, tables } = await planDrop(postgres, requireGroup(settings), Number(id))
  const plan = { id: reparse.id, streams: reparse.streams, tables }
  const said = tables.length === 0 ? 'What it has replaced stays replaced.' : `Drops ${tables.join(', ')}.`
  if (json) out(`${JSON.stringify({ plan })}\n`)
  else out(`Gives up reparse ${reparse.id} of ${reparse.streams.join(', ')}. ${said}\n`)
  if (execute) await dropReparse(postgres, reparse)
  else if (!json) out('Nothing has been changed. Add --execute to do it.\n')
}

function planText(plan: ShadowPlan, execute: boolean): string {
  const { ranges, tables, gone, notes, resumes, drops } = plan
  const rows = ranges.map((range) => [range.stream, range.partition, range.from, range.to, range.to - range.from])
  const lines = [columns(['stream', 'partition', 'from offset', 'to offset', 'records at most'], rows), '']
  if (resumes !== undefined) lines.push(`Goes on with reparse ${resumes.id}, which was interrupted.`)
  else {
    lines.push(
      tables.length === 0 ? 'Makes tables anew that no step names.' : `Makes anew: ${tables.join(', ')}.`,
      'Only what the plan writes from these records on is in the new tables. The old ones are kept, under names that end in _before.',
    )
  }
  if (drops !== undefined)
    lines.push(`Gives up reparse ${drops.id}, which was begun with another plan, and drops its tables.`)
  for (const { stream, partition, to } of gone) {
    lines.push(
      `Gone from the log: ${stream}[${partition}], records before ${to}. What they made is not in the new tables.`,
    )
  }
  if (notes.length > 0) lines.push('', 'What depends on more than the item:', ...notes.map((note) => `  ${note}`))
  if (!execute) lines.push('', 'Nothing has been changed. Add --execute to do it; the service may go on meanwhile.')
  return `${lines.join('\n')}\n`
}

function reportText({ id, state, items, rows, outcomes, streams, swapped }: ShadowReport): string {
  const lines = [
    `reparse ${id}: ${count(items)} items, ${count(rows)} rows${items === 0 ? '' : `; ${outcomesText(outcomes)}`}`,
  ]
  for (const [name, counts] of Object.entries(streams)) lines.push(`  stream "${name}": ${outcomesText(counts)}`)
  if (state === 'stopped') lines.push('Stopped. The same command goes on from here.')
  else {
    lines.push(
      `Swapped: ${swapped.map(({ name }) => name).join(', ')}. A service that runs goes on with them within half a minute.`,
      'The old tables, when nobody needs them any more:',
      `    drop table ${swapped.map(({ before }) => before).join(', ')};`,
    )
  }
  return `${lines.join('\n')}\n`
}

function planJson({ app, streams, ranges, tables, gone, notes, resumes, drops }: ShadowPlan): object {
  return {
    group: app,
    streams,
    ranges: ranges.map((range) => ({ ...range, records: range.to - range.from })),
    tables,
    gone,
    notes,
    resumes: resumes?.id ?? null,
    drops: drops?.id ?? null,
  }
}
