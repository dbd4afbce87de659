/** SIGSTOP at the named points, and SIGCONT when others have taken over: what a stopped service had in hand must not count. */
import type { Episode } from '../kinds.ts'
import { type Point, points } from '../points.ts'
import { provoke } from './provoke.ts'

const members = 3
/** A service that leaves takes part no more. */
const phases: readonly Point[] = points.filter((point) => point !== 'leaving')

export async function stopAndGoOn({ scene, tally, first, faults }: Episode): Promise<void> {
  for (let count = 0; count < members; count++) scene.start()
  await scene.goesOn('the start')
  for (let fault = 0; fault < faults; fault++) {
    const point = phases[(first + fault) % phases.length] ?? 'compared'
    await scene.isBusy()
    const zombie = scene.pick(first + fault)
    await provoke(scene, zombie, point, 'SIGSTOP')
    await scene.until(`${zombie.name} has stopped`, () => zombie.isStopped)
    await scene.isForgotten(zombie)
    await scene.goesOn(`SIGSTOP at "${point}"`)
    const { joins } = zombie
    zombie.signal('SIGCONT')
    scene.readmit(zombie)
    await scene.until(`${zombie.name} has joined again`, () => zombie.joins > joins)
    await scene.goesOn(`SIGCONT after "${point}"`)
    // Where points are reached in a rebalance, another service was started for it.
    while (scene.members.length > members) await scene.terminate(scene.pick(scene.members.length - 1))
    tally.point(point)
    tally.fault('SIGSTOP and SIGCONT')
  }
}
