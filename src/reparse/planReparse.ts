/** What a reparse would do: found out before anything is done. */
import { byStream } from '../core/describe.ts'
import { SettingsError } from '../core/errors.ts'
import type { PlanLeaf } from '../core/plan.ts'
import { planHash } from '../core/planHash.ts'
import type { AssignedPartition, DirectClient } from '../core/source.ts'
import type { LiveProgress, OldRows, Reparse, ReparseAdmin, ReparseRange } from '../postgres/reparseAdmin.ts'
import { beyond } from './rangeClient.ts'
import { type Selection, selectionText } from './selection.ts'
import { notesOf, type ReparsedStream, reparsedStream } from './steps.ts'

export interface PlanningParts {
  /** The application's name: the consumer group. */
  readonly app: string
  readonly leaves: readonly PlanLeaf[]
  readonly admin: ReparseAdmin
  /** A client for one use. */
  connect(): DirectClient
}

/** Tracked rows whose records the log does not have any more: they stay as they are. */
export interface GoneRows {
  readonly stream: string
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly rows: readonly OldRows[]
}

export interface ReparsePlan {
  readonly app: string
  readonly streams: readonly ReparsedStream[]
  readonly leaves: readonly PlanLeaf[]
  readonly hash: string
  readonly selection: string
  readonly key: string | undefined
  readonly ranges: readonly ReparseRange[]
  readonly oldRows: readonly OldRows[]
  readonly gone: readonly GoneRows[]
  /** Steps whose results depend on more than the item. */
  readonly notes: readonly string[]
  /** One with the same selection that was interrupted: it goes on. */
  readonly resumes: Reparse | undefined
  /** One with the same selection that was interrupted, and whose plan was another: it is given up. */
  readonly drops: Reparse | undefined
}

/** @throws PlanError, SettingsError, StoreError, SourceError when it cannot be done, with what to do instead */
export async function planReparse(parts: PlanningParts, selection: Selection): Promise<ReparsePlan> {
  const { app, admin } = parts
  const leaves = selectedLeaves(parts.leaves, selection.stream)
  const streams = Array.from(byStream(leaves), ([name, own]) => reparsedStream(name, own))
  const hash = planHash(leaves)
  const text = selectionText(selection)
  const before = (await admin.reparses(app)).find(
    (reparse) => reparse.state === 'running' && reparse.selection === text && sameStreams(reparse, streams),
  )
  const resumes = before?.plan === hash ? before : undefined
  const live = await admin.progressOf(app)
  const found = await findRanges(parts, streams, live, selection, resumes?.ranges)
  return {
    app,
    streams,
    leaves,
    hash,
    selection: text,
    key: selection.key,
    ranges: found.ranges,
    oldRows: await admin.oldRows(app, found.ranges),
    gone: found.gone,
    notes: notesOf(leaves),
    resumes,
    drops: resumes === undefined ? before : undefined,
  }
}

/** The plan of a reparse that was interrupted, by its number. */
export async function planToResume(parts: PlanningParts, id: number): Promise<ReparsePlan> {
  const { app, admin } = parts
  const reparse = requireRunning(
    (await admin.reparses(app)).find((known) => known.id === id),
    app,
    id,
  )
  const leaves = parts.leaves.filter(({ name }) => reparse.streams.includes(name))
  if (planHash(leaves) !== reparse.plan) {
    throw new SettingsError('MR-REPARSE-PLAN', {
      what: `reparse ${id} was begun with another plan`,
      why: 'One part of its items would be as that plan makes them, and the other as this one does.',
      fix: 'Give the same command as then, without --resume: it begins anew with this plan.',
    })
  }
  const { fromTime, toTime, shadow, ...rest }: Readonly<Record<string, never>> = JSON.parse(reparse.selection)
  if (shadow !== undefined) {
    throw new SettingsError('MR-REPARSE-SHADOW', {
      what: `reparse ${id} makes tables anew, and goes on without --resume`,
      fix: 'Give the same command as then, with --shadow.',
    })
  }
  const times = {
    ...(fromTime === undefined ? {} : { fromTime: new Date(fromTime) }),
    ...(toTime === undefined ? {} : { toTime: new Date(toTime) }),
  }
  return planReparse(parts, { ...rest, ...times })
}

/** @throws SettingsError MR-REPARSE-NONE for one that is not there, or has ended */
export function requireRunning(reparse: Reparse | undefined, app: string, id: number): Reparse {
  if (reparse?.state === 'running') return reparse
  throw new SettingsError('MR-REPARSE-NONE', {
    what: `group "${app}" has no reparse ${id} that could go on`,
    why: reparse === undefined ? undefined : `It is ${reparse.state}.`,
    fix: `See what there is with "millrace reparse list --group ${app}".`,
  })
}

/** Leaves of the stream that was asked for; of all streams when it was none. */
export function selectedLeaves(leaves: readonly PlanLeaf[], stream: string | undefined): readonly PlanLeaf[] {
  if (stream === undefined) return leaves
  const own = leaves.filter(({ name }) => name === stream)
  if (own.length > 0) return own
  throw new SettingsError('MR-REPARSE-STREAM', {
    what: `the plan has no stream "${stream}"`,
    why: `It has ${[...new Set(leaves.map(({ name }) => `"${name}"`))].join(', ')}.`,
  })
}

export function sameStreams(reparse: Reparse, streams: readonly Pick<ReparsedStream, 'name'>[]): boolean {
  return streams.length === reparse.streams.length && streams.every(({ name }) => reparse.streams.includes(name))
}

interface Found {
  readonly ranges: readonly ReparseRange[]
  readonly gone: readonly GoneRows[]
}

async function findRanges(
  { app, admin, connect }: PlanningParts,
  streams: readonly ReparsedStream[],
  live: readonly LiveProgress[],
  selection: Selection,
  known: readonly ReparseRange[] | undefined,
): Promise<Found> {
  const whole = known ?? wholeRanges(app, streams, live, selection)
  const closing = new AbortController()
  const client = connect()
  try {
    const partitions = whole.length === 0 ? [] : await client.open(whole, closing.signal)
    const ranges: ReparseRange[] = []
    const gone: GoneRows[] = []
    for (const [index, range] of whole.entries()) {
      const partition = partitions[index]
      if (partition === undefined) continue
      const chosen = known === undefined ? await narrowed(admin, app, partition, range, selection) : range
      if (chosen === undefined) continue
      ranges.push(chosen)
      const lost = await goneFrom(admin, app, partition, chosen)
      if (lost !== undefined) gone.push(lost)
    }
    return { ranges, gone }
  } finally {
    closing.abort()
    await client.close()
  }
}

/** All that the service has done. */
export function wholeRanges(
  app: string,
  streams: readonly Pick<ReparsedStream, 'name' | 'source'>[],
  live: readonly LiveProgress[],
  { partition }: Selection,
): readonly ReparseRange[] {
  return streams.flatMap(({ name, source }) => {
    const own = live.filter((row) => row.stream === name && row.source === source.name)
    if (own.length === 0) {
      throw new SettingsError('MR-REPARSE-NONE', {
        what: `group "${app}" has no progress of stream "${name}": there is nothing to run again`,
        fix: 'Check the group, and --stream where the plan has streams that were never started.',
      })
    }
    return own
      .filter((row) => partition === undefined || row.partition === partition)
      .map((row) => ({
        stream: name,
        source: source.name,
        topic: source.source.name,
        partition: row.partition,
        from: 0,
        to: row.nextOffset,
      }))
  })
}

/** What of a partition was asked for; undefined when it is nothing. */
async function narrowed(
  admin: ReparseAdmin,
  app: string,
  partition: AssignedPartition,
  whole: ReparseRange,
  { fromOffset, toOffset, fromTime, toTime, key, fingerprint }: Selection,
): Promise<ReparseRange | undefined> {
  const { end } = await partition.bounds()
  if (whole.to > end) throw beyond(whole, end)
  const from = Math.max(
    whole.from,
    fromOffset ?? 0,
    fromTime === undefined ? 0 : await partition.offsetAt(fromTime.getTime()),
  )
  const to = Math.min(
    whole.to,
    toOffset ?? whole.to,
    toTime === undefined ? whole.to : await partition.offsetAt(toTime.getTime()),
  )
  if (from >= to) return undefined
  const range = { ...whole, from, to }
  if (fingerprint !== undefined) return rangeOfErrors(admin, app, range, fingerprint)
  if (key === undefined) return admin.wholeGroups(app, range)
  await requireNoGroups(admin, app, range)
  return range
}

async function rangeOfErrors(
  admin: ReparseAdmin,
  app: string,
  range: ReparseRange,
  fingerprint: string,
): Promise<ReparseRange | undefined> {
  const offsets = (await admin.offsetsOfErrors(app, range.stream, fingerprint))
    .filter(({ partition, offset }) => partition === range.partition && offset >= range.from && offset < range.to)
    .map(({ offset }) => offset)
  if (offsets.length === 0) return undefined
  return admin.wholeGroups(app, { ...range, offsets })
}

/** Items of other keys have made rows together with those of the key: running these alone again would lose what the others gave. */
async function requireNoGroups(admin: ReparseAdmin, app: string, range: ReparseRange): Promise<void> {
  if (!(await admin.hasGroups(app, range))) return
  throw new SettingsError('MR-REPARSE-GROUPS', {
    what: `items of stream "${range.stream}" have made rows together, so those of one key cannot be run again alone`,
    fix: 'Choose by offsets or by time: whole groups are run again then.',
  })
}

async function goneFrom(
  admin: ReparseAdmin,
  app: string,
  partition: AssignedPartition,
  range: ReparseRange,
): Promise<GoneRows | undefined> {
  const { start } = await partition.bounds()
  if (start <= range.from) return undefined
  const lost = { ...range, to: Math.min(start, range.to) }
  const rows = (await admin.oldRows(app, [lost])).filter((found) => found.rows > 0)
  const { stream, from, to } = lost
  return rows.length === 0 ? undefined : { stream, partition: range.partition, from, to, rows }
}
