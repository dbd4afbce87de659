/** What a reparse asks the database that makes whole tables anew beside those that are there, and then swaps them. */
import { StoreError } from '../../core/errors.ts'
import { textArray } from '../arrayLiteral.ts'
import { Connections, type Link } from '../connections.ts'
import { type LiveProgress, type Reparse, reparseStream } from '../reparseAdmin.ts'
import { type PostgresSettings, postgresTarget } from '../settings.ts'
import { sqlstateOf } from '../sqlstate.ts'
import { checkShadowable } from './blockers.ts'
import {
  forgetContributions,
  inTransactionForget,
  inTransactionMoveErrors,
  inTransactionMoveProgress,
  inTransactionMoveState,
  inTransactionMoveTracks,
  shadowApp,
} from './bookkeeping.ts'
import { inTransactionCompareTables, inTransactionLockTables, inTransactionRename } from './rename.ts'
import {
  checkShadows,
  inTransactionDropShadows,
  makeShadows,
  originalsOf,
  readShadows,
  type Shadow,
} from './shadowTables.ts'

/**
 * How a try to swap ended. `behind`: what the service had done meanwhile was too much to keep it waiting, or it has begun to read
 * another partition. `busy`: somebody else uses the tables.
 */
export type SwapEnd = 'swapped' | 'behind' | 'busy'

export interface ShadowAdmin {
  /** Tables as the database names them. @throws StoreError MR-REPARSE-SHADOW for one that cannot be made anew */
  check(app: string, streams: readonly string[], tables: readonly string[]): Promise<readonly string[]>
  /** Makes the tables that are missing. */
  make(reparse: Reparse, tables: readonly string[]): Promise<void>
  /** Tables that are made anew. */
  shadows(reparse: Reparse): Promise<readonly Shadow[]>
  /**
   * Keeps the service from committing, and swaps the tables when everything that it has done was done here too.
   *
   * @param reach is told where the service is, and says whether everything up to there is committed here
   */
  swap(reparse: Reparse, reach: (live: readonly LiveProgress[]) => Promise<boolean>): Promise<SwapEnd>
  /** Forgets what nobody needs after a swap. */
  tidy(): Promise<void>
  /** Gives one up, of either kind, with the tables that it was making. */
  drop(reparse: Reparse): Promise<void>
  close(): Promise<void>
}

/** Milliseconds that the transaction of a swap may wait for what is written beside it. */
export const swapPatienceMs = 8_000

/** Connects when it is first asked; close it. @throws SettingsError when a setting is out of range */
export function createShadowAdmin(settings: PostgresSettings): ShadowAdmin {
  const connections = new Connections(postgresTarget({ ...settings, poolSize: 1 }))
  return {
    check: (app, streams, tables) =>
      connections.use('looking at tables', async (link) => {
        const originals = await originalsOf(link, tables)
        await checkShadows(link, app, originals, streams)
        return originals.map(({ quoted }) => quoted)
      }),
    make: (reparse, tables) =>
      connections.use('making tables', async (link) => makeShadows(link, reparse.id, await originalsOf(link, tables))),
    shadows: (reparse) => connections.use('looking for tables', (link) => readShadows(link, reparse.id)),
    swap: (reparse, reach) => connections.use('swapping tables', (link) => swap(link, reparse, reach)),
    tidy: () => connections.use('forgetting what old tables were made of', forgetContributions),
    drop: (reparse) => connections.use('giving up a reparse', (link) => drop(link, reparse)),
    close: () => connections.close(),
  }
}

async function swap(
  link: Link,
  reparse: Reparse,
  reach: (live: readonly LiveProgress[]) => Promise<boolean>,
): Promise<SwapEnd> {
  const shadows = await readShadows(link, reparse.id)
  for (const { shadow } of shadows) await link.query(`analyze ${shadow}`)
  await link.begin(`begin; set local idle_in_transaction_session_timeout to ${2 * swapPatienceMs}`)
  try {
    await inTransactionRequireRunning(link, reparse)
    await inTransactionRequireAlone(link, reparse)
    // Every commit of the service waits here, in its fence.
    const live = await inTransactionLockProgress(link, reparse.app, reparse.streams)
    if (!(await reach(live))) {
      await link.rollback()
      return 'behind'
    }
    const here = await inTransactionLockProgress(link, shadowApp(reparse), reparse.streams)
    await inTransactionLockTables(link, shadows)
    await inTransactionCheck(link, shadows)
    await inTransactionMoveTracks(link, reparse, shadows)
    // A partition that was added has rows of its own in the old tables, or had when it was claimed before they were locked.
    const now = await inTransactionLockProgress(link, reparse.app, reparse.streams)
    if (!sameProgress(reparse, here, now)) {
      await link.rollback()
      return 'behind'
    }
    await inTransactionSwap(link, reparse, shadows)
    await link.commit()
    return 'swapped'
  } catch (error) {
    await link.rollback()
    if (sqlstateOf(error) === '55P03' || sqlstateOf(error) === '40P01') return 'busy'
    throw error
  }
}

async function inTransactionSwap(link: Link, reparse: Reparse, shadows: readonly Shadow[]): Promise<void> {
  for (const shadow of shadows) await inTransactionRename(link, shadow)
  await inTransactionMoveErrors(link, reparse)
  await inTransactionMoveState(link, reparse)
  await inTransactionMoveProgress(link, reparse)
  await link.query('delete from millrace.shadows where reparse = $1', [reparse.id])
  await inTransactionEnd(link, reparse, 'done')
  await link.query(`insert into millrace.audit (app, action, detail) values ($1, 'swap', $2)`, [
    reparse.app,
    shadows.map(({ name, shadow }) => `${name} by ${shadow}`).join(', '),
  ])
}

async function inTransactionRequireRunning(link: Link, { id }: Reparse): Promise<void> {
  const { rows } = await link.query<{ state: string }>('select state from millrace.reparses where id = $1 for update', [
    id,
  ])
  if (rows[0]?.state === 'running') return
  throw new StoreError('MR-REPARSE-TAKEN', {
    what: `somebody else has ended reparse ${id}: it is ${rows[0]?.state ?? 'gone'}`,
    fix: 'See what there is with "millrace reparse list".',
  })
}

/** One that works on rows of the old tables would go on with what it knows of them. */
async function inTransactionRequireAlone(link: Link, { id, app, streams }: Reparse): Promise<void> {
  const { rows } = await link.query<{ id: number }>(
    `select id from millrace.reparses where app = $1 and state = 'running' and id <> $2 and streams && $3::text[] order by id`,
    [app, id, textArray(streams)],
  )
  const [other] = rows
  if (other === undefined) return
  throw new StoreError('MR-REPARSE-RUNNING', {
    what: `reparse ${other.id} of the same streams has not ended, so the tables cannot be swapped`,
    fix: `Give its command again, to let it finish, or give it up: millrace reparse drop ${other.id} --execute. Then the same command as this goes on.`,
  })
}

async function inTransactionLockProgress(
  link: Link,
  app: string,
  streams: readonly string[],
): Promise<readonly LiveProgress[]> {
  const { rows } = await link.query<{ stream: string; source: string; partition: number; next_offset: string }>(
    `select stream, source, partition, next_offset from millrace.progress where app = $1 and stream = any($2::text[])
     order by stream, partition, source for update`,
    [app, textArray(streams)],
  )
  return rows.map(({ next_offset, ...rest }) => ({ ...rest, nextOffset: Number(next_offset) }))
}

/** Of the inputs that are read; a stream may have had others once. */
function sameProgress({ ranges }: Reparse, ...both: readonly (readonly LiveProgress[])[]): boolean {
  const [one, other] = both.map((rows) =>
    JSON.stringify(
      rows.filter((row) => ranges.some(({ stream, source }) => row.stream === stream && row.source === source)),
    ),
  )
  return one === other
}

/** What has come in the way meanwhile. */
async function inTransactionCheck(link: Link, shadows: readonly Shadow[]): Promise<void> {
  const originals = await originalsOf(
    link,
    shadows.map(({ name }) => name),
  )
  const made = await originalsOf(
    link,
    shadows.map(({ shadow }) => shadow),
  )
  const together = [...originals, ...made].map(({ oid }) => oid)
  for (const original of originals) await checkShadowable(link, original, together)
  for (const shadow of shadows) await inTransactionCompareTables(link, shadow)
}

async function inTransactionEnd(link: Link, { id }: Reparse, state: 'done' | 'dropped'): Promise<void> {
  await link.query('update millrace.reparses set state = $2, ended_at = clock_timestamp() where id = $1', [id, state])
}

async function drop(link: Link, reparse: Reparse): Promise<void> {
  await link.begin('begin')
  try {
    await inTransactionRequireRunning(link, reparse)
    await inTransactionForget(link, reparse)
    await link.query('delete from millrace.progress where app = $1 and stream = any($2::text[])', [
      reparse.app,
      textArray(reparse.streams.map((stream) => reparseStream(stream, reparse.id))),
    ])
    await inTransactionDropShadows(link, reparse.id)
    await link.query('delete from millrace.errors where app = $1', [shadowApp(reparse)])
    await link.query(
      `with gone as (delete from millrace.tracked_tasks where app = $1 returning id)
       delete from millrace.tracked_members where task in (select id from gone)`,
      [shadowApp(reparse)],
    )
    await inTransactionEnd(link, reparse, 'dropped')
    await link.commit()
  } catch (error) {
    await link.rollback()
    throw error
  }
}
