/** What a reparse of whole topics would do that makes the tables anew beside those that are there. */
import { byStream } from '../core/describe.ts'
import { SettingsError } from '../core/errors.ts'
import { onlySourceOf, type PlanLeaf, stepsOf } from '../core/plan.ts'
import { planHash } from '../core/planHash.ts'
import type { Reparse, ReparseRange } from '../postgres/reparseAdmin.ts'
import type { ShadowAdmin } from '../postgres/shadow/shadowAdmin.ts'
import { type PlanningParts, sameStreams, selectedLeaves, wholeRanges } from './planReparse.ts'
import { beyond } from './rangeClient.ts'
import { selectionText } from './selection.ts'
import { keepsInMemory, notesOf } from './steps.ts'

export interface ShadowPlanningParts extends PlanningParts {
  readonly shadows: ShadowAdmin
}

/** Records that the log does not have any more: what was made of them is not in the new tables. */
export interface GoneRecords {
  readonly stream: string
  readonly partition: number
  readonly to: number
}

export interface ShadowPlan {
  readonly app: string
  readonly streams: readonly string[]
  readonly leaves: readonly PlanLeaf[]
  readonly hash: string
  readonly selection: string
  /** From the first record that the log has to where the service is, for now. */
  readonly ranges: readonly ReparseRange[]
  /** Tables that steps name, as the database calls them. */
  readonly tables: readonly string[]
  readonly gone: readonly GoneRecords[]
  /** Steps whose results depend on more than the items. */
  readonly notes: readonly string[]
  /** One of the same streams that was interrupted: it goes on. */
  readonly resumes: Reparse | undefined
  /** One of the same streams that was interrupted, and whose plan was another: it is given up. */
  readonly drops: Reparse | undefined
}

/** @throws PlanError, SettingsError, StoreError, SourceError when it cannot be done, with what to do instead */
export async function planShadow(parts: ShadowPlanningParts, stream: string | undefined): Promise<ShadowPlan> {
  const { app, admin } = parts
  const leaves = selectedLeaves(parts.leaves, stream)
  const streams = Array.from(byStream(leaves), ([name, own]) => {
    return { name, source: onlySourceOf('millrace reparse --shadow', name, own) }
  })
  requireAllWriters(parts.leaves, leaves)
  const hash = planHash(leaves)
  const selection = selectionText({ shadow: true, stream })
  const running = (await admin.reparses(app)).filter(
    (reparse) =>
      reparse.state === 'running' && reparse.streams.some((name) => streams.some((own) => own.name === name)),
  )
  const before = running.find((reparse) => reparse.selection === selection && sameStreams(reparse, streams))
  const other = running.find((reparse) => reparse !== before)
  if (other !== undefined) throw underWay(other)
  const resumes = before?.plan === hash ? before : undefined
  const live = await admin.progressOf(app)
  const ranges = resumes?.ranges ?? (await fromTheFirst(parts, wholeRanges(app, streams, live, {})))
  const names = streams.map(({ name }) => name)
  const tables = tablesOf(leaves)
  return {
    app,
    streams: names,
    leaves,
    hash,
    selection,
    ranges,
    // What is there of one that goes on was looked at when it began.
    tables: await parts.shadows.check(app, namesOf(leaves), before === undefined ? tables : []),
    gone: ranges.flatMap(({ stream: of, partition, from }) =>
      from === 0 ? [] : [{ stream: of, partition, to: from }],
    ),
    notes: [
      ...notesOf(leaves),
      ...keepsInMemory(leaves).map(
        (step) => `${step}: what it has in memory is lost when this is interrupted, as it is in a service`,
      ),
    ],
    resumes,
    drops: resumes === undefined ? before : undefined,
  }
}

/** Streams by which rows of these leaves are known: also those that depend on them, or that they trigger. */
function namesOf(leaves: readonly PlanLeaf[]): readonly string[] {
  const inside = stepsOf(leaves).flatMap((node) => (node.kind === 'entry' ? [node.stream] : []))
  return [...new Set([...leaves.map(({ name }) => name), ...inside])]
}

function tablesOf(leaves: readonly PlanLeaf[]): readonly string[] {
  return [...new Set(stepsOf(leaves).flatMap((node) => (node.kind === 'sink' ? [node.sink.name] : [])))]
}

/** Rows of a stream that is left out would not be in the new table. */
function requireAllWriters(all: readonly PlanLeaf[], chosen: readonly PlanLeaf[]): void {
  const tables = new Set(tablesOf(chosen))
  for (const leaf of all) {
    if (chosen.includes(leaf)) continue
    const shared = tablesOf([leaf]).find((name) => tables.has(name))
    if (shared === undefined) continue
    throw new SettingsError('MR-REPARSE-SHADOW', {
      what: `stream "${leaf.name}" writes table "${shared}" too, whose rows would not be in the new one`,
      fix: 'Leave out --stream: all streams that write a table are run again together.',
    })
  }
}

function underWay({ id, streams }: Reparse): SettingsError {
  return new SettingsError('MR-REPARSE-RUNNING', {
    what: `reparse ${id} of ${streams.map((name) => `"${name}"`).join(', ')} has not ended`,
    why: 'It changes rows of the tables that would be made anew.',
    fix: `Give its command again, to let it finish, or give it up: millrace reparse drop ${id} --execute.`,
  })
}

async function fromTheFirst(
  { connect }: ShadowPlanningParts,
  whole: readonly ReparseRange[],
): Promise<readonly ReparseRange[]> {
  const closing = new AbortController()
  const client = connect()
  try {
    const partitions = await client.open(whole, closing.signal)
    const ranges: ReparseRange[] = []
    for (const [index, range] of whole.entries()) {
      const bounds = await partitions[index]?.bounds()
      if (bounds === undefined) continue
      if (range.to > bounds.end) throw beyond(range, bounds.end)
      ranges.push({ ...range, from: Math.min(bounds.start, range.to) })
    }
    return ranges
  } finally {
    closing.abort()
    await client.close()
  }
}
