/** Brings a service to a named point and lets it be struck there. */
import type { Member } from '../member.ts'
import type { Arming, Point } from '../points.ts'
import type { Scene } from '../scene.ts'

/** These are reached only when the group is shared out anew. */
const inRebalance: readonly Point[] = ['claim sent', 'claim answered', 'revoked']

/** Resolves when it has been struck; it is no member of the scene any more. */
export async function provoke(scene: Scene, victim: Member, point: Point, signal: Arming['signal']): Promise<void> {
  scene.dismiss(victim)
  if (point === 'compared') return holdAtFence(scene, victim, signal)
  victim.arm({ point, signal })
  if (point === 'leaving') victim.signal('SIGTERM')
  if (inRebalance.includes(point)) scene.start()
  await scene.until(`${victim.name} reaches "${point}"`, () => {
    if (victim.end !== undefined && !victim.hasReached(point))
      throw new Error(`it ended before "${point}":\n${victim.lastWords}`)
    return victim.hasReached(point)
  })
}

/**
 * BEGIN and the fence are one round trip, so a service has nothing to do between comparing and moving on. The database holds it
 * up there: a trigger waits for a lock that is ours, and that it waits says that the comparison went well.
 */
async function holdAtFence(scene: Scene, victim: Member, signal: Arming['signal']): Promise<void> {
  const holder = await scene.database.connect()
  try {
    await holder.query('select pg_advisory_lock(hashtext($1))', [victim.name])
    await scene.until(`${victim.name} is held at its fence`, async () => {
      const { rows } = await holder.query(
        `select 1 from pg_locks join pg_stat_activity using (pid)
         where locktype = 'advisory' and not granted and application_name = $1`,
        [victim.name],
      )
      return rows.length > 0
    })
    victim.signal(signal)
    if (signal === 'SIGKILL') await victim.ended
    else await scene.until(`${victim.name} has stopped`, () => victim.isStopped)
  } finally {
    await holder.end()
  }
}
