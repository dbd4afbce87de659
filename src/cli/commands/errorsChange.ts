/** `millrace errors replay`, `ignore`, `delete` and `prune`, and `millrace resume`: planned before done. */
import { unsettledStates } from '../../postgres/errorFilter.ts'
import type { ErrorsAction, ErrorsPlan, LeftReason } from '../../postgres/errorsChange.ts'
import { type FilterOptions, filterOf } from '../errorFilter.ts'
import { columns, type Output } from '../output.ts'
import { requireGroup } from '../required.ts'
import type { CliSettings } from '../settings.ts'
import { instantOf, timeText } from '../times.ts'
import { errorLine, haltedTable, withErrors } from './errors.ts'

export interface ChangeOptions extends FilterOptions {
  readonly execute?: boolean
}

export interface PruneOptions extends ChangeOptions {
  readonly olderThan: string
}

interface Words {
  /** `12 items in 2 groups are to be …` */
  readonly planned: string
  /** `12 items …` */
  readonly done: string
}

const words: Readonly<Record<ErrorsAction, Words>> = {
  replay: {
    planned: 'replayed',
    done: 'are asked for: the service that has their partition runs them between two batches, usually within seconds',
  },
  ignore: { planned: 'settled as ignored', done: 'are settled as ignored' },
  delete: { planned: 'deleted', done: 'are deleted' },
  prune: { planned: 'deleted', done: 'are deleted' },
}

const leftTexts: Readonly<Record<LeftReason, string>> = {
  cut: 'whose value is kept cut',
  'without record': 'that RxJS gave back, without a record',
  parked: 'parked: they follow the item that they wait for',
  replaying: 'asked for before',
  settled: 'settled before',
  unsettled: 'not settled',
}

/** Groups of a plan that are shown. */
const shownGroups = 20

export function replayErrors(settings: CliSettings, options: ChangeOptions, output: Output): Promise<void> {
  return change('replay', settings, options, output)
}

export function ignoreErrors(settings: CliSettings, options: ChangeOptions, output: Output): Promise<void> {
  return change('ignore', settings, options, output)
}

export function deleteErrors(settings: CliSettings, options: ChangeOptions, output: Output): Promise<void> {
  return change('delete', settings, options, output)
}

export function pruneErrors(settings: CliSettings, options: PruneOptions, output: Output): Promise<void> {
  return change('prune', settings, options, output, instantOf('--older-than', options.olderThan, Date.now()))
}

async function change(
  action: ErrorsAction,
  settings: CliSettings,
  options: ChangeOptions,
  { out }: Output,
  settledBefore?: Date,
): Promise<void> {
  const isOfUnsettled = action === 'replay' || action === 'ignore'
  const filter = { ...filterOf(settings, options, isOfUnsettled ? unsettledStates : undefined), settledBefore }
  await withErrors(settings, async (admin) => {
    const plan = await admin.plan(action, filter)
    out(planText(plan))
    if (plan.items === 0) return
    if (!options.execute) {
      out('\nNothing has been changed. Add --execute to do it.\n')
      return
    }
    const changed = await admin.execute(plan)
    out(`\n${itemsText(changed)} ${words[action].done}. Noted in millrace.audit.\n`)
  })
}

function planText({ action, items, groups, oldestAt, newestAt, left, orderSteps }: ErrorsPlan): string {
  const parts: string[] = []
  if (items === 0) parts.push(`There is nothing to be ${words[action].planned}.`)
  else {
    const kinds = groups.length === 1 ? '1 group' : `${groups.length} groups`
    parts.push(`${itemsText(items)} in ${kinds} to be ${words[action].planned}.`)
    if (oldestAt !== null && newestAt !== null) {
      parts.push(`The oldest failed at ${timeText(oldestAt)}, the newest at ${timeText(newestAt)}.`)
    }
    parts.push('', groupTable(groups))
  }
  const reasons = Object.entries(left) as [LeftReason, number][]
  if (reasons.length > 0) {
    parts.push(
      '',
      'Left as they are:',
      ...reasons.map(([reason, count]) => `  ${itemsText(count)} ${leftTexts[reason]}`),
    )
  }
  if (action === 'replay' && items > 0) parts.push('', orderText(orderSteps))
  return `${parts.join('\n')}\n`
}

function groupTable(groups: ErrorsPlan['groups']): string {
  const shown = groups.slice(0, shownGroups)
  const table = columns(
    ['items', 'stream', 'step', 'fingerprint', 'error'],
    shown.map(({ items, stream, step, fingerprint, error }) => [items, stream, step, fingerprint, errorLine(error)]),
  )
  const more = groups.length - shown.length
  return more === 0 ? table : `${table}\n… and ${more} groups more`
}

function orderText(orderSteps: ErrorsPlan['orderSteps']): string {
  const lines = orderSteps.flatMap(({ stream, steps }) => {
    if (steps === null) return [`  ${stream}  not known: it has not been started with this version`]
    return steps.map((step) => `  ${stream}  ${step}`)
  })
  const arrives = 'A replayed item arrives now, behind what has been committed since: it may be late.'
  if (lines.length === 0) return `${arrives}\nNo step of these streams gives something else for that.`
  return `${arrives}\nSteps where order matters:\n${lines.join('\n')}`
}

function itemsText(count: number): string {
  return count === 1 ? '1 item' : `${count} items`
}

export interface ResumeOptions {
  readonly stream?: string
  readonly execute?: boolean
}

/** Lets streams that were halted run again. */
export async function resume(
  settings: CliSettings,
  { stream, execute }: ResumeOptions,
  { out }: Output,
): Promise<void> {
  const app = requireGroup(settings)
  await withErrors(settings, async (admin) => {
    const halted = await admin.halted(app, stream)
    if (halted.length === 0) {
      out(`nothing of group "${app}" is halted\n`)
      return
    }
    out(`${haltedTable(halted)}\n`)
    if (!execute) {
      out(
        '\nNothing has been changed. Add --execute to let them run, with their error counters at 0. Another plan runs without it.\n',
      )
      return
    }
    const count = await admin.resume(app, stream)
    out(
      `\n${count === 1 ? '1 partition runs' : `${count} partitions run`} again when the service is started. Noted in millrace.audit.\n`,
    )
  })
}
