/** Services come and go under load and partitions are added, while producers commit and roll back transactions that overlap. */
import type { Episode } from '../kinds.ts'
import { mixed } from '../records.ts'
import type { Scene } from '../scene.ts'

const members = 3

export async function changeMembers({ scene, tally, first, faults, seed }: Episode): Promise<void> {
  for (let count = 0; count < members; count++) scene.start()
  await scene.goesOn('the start')
  for (let fault = 0; fault < faults; fault++) {
    const change = (first + fault) % 3
    await scene.isBusy()
    if (change === 0) await join(scene)
    else if (change === 1) await scene.terminate(scene.pick(mixed(fault, seed)))
    else await scene.grow()
    const name = change === 0 ? 'member joined' : change === 1 ? 'SIGTERM under load' : 'partition added'
    await scene.goesOn(name)
    tally.fault(name)
  }
}

/** A service that is told to stop before its program has begun ends as any process does. */
async function join(scene: Scene): Promise<void> {
  const member = scene.start()
  await scene.until(`${member.name} has joined`, () => member.joins > 0)
}
