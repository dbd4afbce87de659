/** `millrace progress`: looking at progress and changing it by hand, planned before done. */
import { SettingsError } from '../../core/errors.ts'
import type { ProgressAdmin, ProgressFilter, ProgressPlan } from '../../postgres/progressAdmin.ts'
import { resolvePostgres } from '../../service/settings.ts'
import { columns, type Output } from '../output.ts'
import { requireGroup, requirePostgres } from '../required.ts'
import type { CliSettings } from '../settings.ts'

/** Which progress, as flags say it. */
export interface ProgressOptions {
  readonly stream?: string
  readonly source?: string
  readonly partition?: string
  readonly execute?: boolean
}

export interface SetOptions extends ProgressOptions {
  readonly to: string
}

export async function showProgress(settings: CliSettings, options: ProgressOptions, { out }: Output): Promise<void> {
  const filter = filterOf(settings, options)
  const entries = await withAdmin(settings, (admin) => admin.show(filter))
  if (entries.length === 0) {
    out(`group "${filter.app}" has no progress\n`)
    return
  }
  const rows = entries.map(({ stream, source, partition, nextOffset, version, updatedAt }) => [
    stream,
    source,
    partition,
    nextOffset,
    version,
    updatedAt.toISOString(),
  ])
  out(`${columns(['stream', 'source', 'partition', 'next offset', 'version', 'committed at'], rows)}\n`)
}

export async function setProgress(settings: CliSettings, options: SetOptions, output: Output): Promise<void> {
  const filter = filterOf(settings, options)
  const to = wholeNumber('--to', options.to)
  await change(settings, options, output, (admin) => admin.planSet(filter, to))
}

export async function resetProgress(settings: CliSettings, options: ProgressOptions, output: Output): Promise<void> {
  const filter = filterOf(settings, options)
  await change(settings, options, output, (admin) => admin.planReset(filter))
}

async function change(
  settings: CliSettings,
  { execute = false }: ProgressOptions,
  { out }: Output,
  planned: (admin: ProgressAdmin) => Promise<ProgressPlan>,
): Promise<void> {
  await withAdmin(settings, async (admin) => {
    const plan = await planned(admin)
    const rows = plan.changes.map(({ entry, toOffset }) => [
      entry.stream,
      entry.source,
      entry.partition,
      entry.nextOffset,
      toOffset ?? 'forgotten',
    ])
    out(`${columns(['stream', 'source', 'partition', 'next offset', 'becomes'], rows)}\n`)
    if (!execute) {
      out(
        '\nNothing has been changed. Rows that are already written stay, whatever progress says. Stop the service, then add --execute.\n',
      )
      return
    }
    await admin.execute(plan)
    out('\nDone, and noted in millrace.audit.\n')
  })
}

async function withAdmin<T>(settings: CliSettings, work: (admin: ProgressAdmin) => Promise<T>): Promise<T> {
  const { createProgressAdmin } = await import('../../postgres/progressAdmin.ts')
  const admin = createProgressAdmin(resolvePostgres(requirePostgres(settings)))
  try {
    return await work(admin)
  } finally {
    await admin.close()
  }
}

function filterOf(settings: CliSettings, { stream, source, partition }: ProgressOptions): ProgressFilter {
  return {
    app: requireGroup(settings),
    stream,
    source,
    partition: partition === undefined ? undefined : wholeNumber('--partition', partition),
  }
}

function wholeNumber(flag: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new SettingsError('MR-CLI-SETTING', { what: `${flag} must be a whole number of at least 0, but is "${text}"` })
}
