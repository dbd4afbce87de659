/** `millrace state`: looking at keyed state, and dropping it. */
import type { StateAdmin, StateCell, StateFilter } from '../../postgres/stateAdmin.ts'
import { resolvePostgres } from '../../service/settings.ts'
import { wholeNumber } from '../errorFilter.ts'
import { columns, type Output } from '../output.ts'
import { lineOf, textOf } from '../readable.ts'
import { requireGroup, requirePostgres } from '../required.ts'
import type { CliSettings } from '../settings.ts'
import { timeText } from '../times.ts'

export interface StateOptions {
  readonly stream?: string
  readonly key?: string
  readonly limit?: string
  readonly json?: boolean
  readonly execute?: boolean
}

const usualLimit = '50'

async function withState<T>(settings: CliSettings, work: (admin: StateAdmin) => Promise<T>): Promise<T> {
  const { createStateAdmin } = await import('../../postgres/stateAdmin.ts')
  const admin = createStateAdmin(resolvePostgres(requirePostgres(settings)))
  try {
    return await work(admin)
  } finally {
    await admin.close()
  }
}

function filterOf(settings: CliSettings, step: string | undefined, { stream, key }: StateOptions): StateFilter {
  return { app: requireGroup(settings), step, stream, key }
}

export async function listState(settings: CliSettings, options: StateOptions, { out }: Output): Promise<void> {
  const filter = filterOf(settings, undefined, options)
  const steps = await withState(settings, (admin) => admin.steps(filter))
  if (options.json) out(`${JSON.stringify(steps, undefined, 2)}\n`)
  else if (steps.length === 0) out(`no step of group "${filter.app}" keeps state\n`)
  else {
    const rows = steps.map(({ stream, step, keys, cells, shape }) => [stream, step, keys, cells, lineOf(shape, 80)])
    out(`${columns(['stream', 'step', 'keys', 'cells', 'made of'], rows)}\n`)
  }
}

export async function showState(
  settings: CliSettings,
  step: string,
  options: StateOptions,
  { out }: Output,
): Promise<void> {
  const filter = filterOf(settings, step, options)
  const limit = wholeNumber('--limit', options.limit ?? usualLimit, 1_000_000)
  const found = await withState(settings, (admin) => admin.cells(filter, limit + 1))
  const cells = found.slice(0, limit)
  if (options.json) out(`${JSON.stringify(cells.map(cellJson), undefined, 2)}\n`)
  else if (cells.length === 0) out(`step "${step}" of group "${filter.app}" keeps nothing of this kind\n`)
  else {
    const rows = cells.map(({ stream, partition, key, at, value, due }) => [
      stream,
      partition,
      lineOf(key, 60),
      at === null ? '' : timeText(at),
      due === null ? '' : timeText(due),
      lineOf(textOf(value), 100),
    ])
    const more = found.length > limit ? `… and more: raise --limit ${limit}\n` : ''
    out(`${columns(['stream', 'partition', 'key', 'at', 'due', 'value'], rows)}\n${more}`)
  }
}

function cellJson({ value, at, due, ...rest }: StateCell): object {
  return {
    ...rest,
    at: at?.toISOString() ?? null,
    due: due?.toISOString() ?? null,
    value: JSON.parse(value) as unknown,
  }
}

export async function dropState(
  settings: CliSettings,
  step: string,
  options: StateOptions,
  { out }: Output,
): Promise<void> {
  const filter = filterOf(settings, step, options)
  await withState(settings, async (admin) => {
    const steps = (await admin.steps(filter)).filter(({ cells }) => cells > 0)
    if (steps.length === 0) {
      out(`step "${step}" of group "${filter.app}" keeps no state\n`)
      return
    }
    const rows = steps.map(({ stream, keys, cells, shape }) => [stream, keys, cells, lineOf(shape, 80)])
    out(`${columns(['stream', 'keys', 'cells', 'made of'], rows)}\n`)
    if (!options.execute) {
      const which = options.key === undefined ? 'all of it' : `what it holds of key ${lineOf(options.key, 60)}`
      out(`\nNothing has been changed. --execute deletes ${which}: the step begins with nothing then.\n`)
      return
    }
    const count = await admin.drop(filter)
    out(`\n${count === 1 ? '1 cell is' : `${count} cells are`} deleted. Noted in millrace.audit.\n`)
  })
}
