/** SIGKILL at a random moment, while there is work. */
import type { Episode } from '../kinds.ts'
import { mixed } from '../records.ts'

const members = 3

export async function kill({ scene, tally, faults, seed }: Episode): Promise<void> {
  for (let count = 0; count < members; count++) scene.start()
  await scene.goesOn('the start')
  for (let fault = 0; fault < faults; ) {
    await scene.isBusy()
    const victim = scene.pick(mixed(fault, seed))
    scene.dismiss(victim)
    await victim.kill()
    // Whoever strikes when there is nothing to do has shown nothing.
    const counts = scene.feed.lag > 0
    scene.start()
    await scene.goesOn(`SIGKILL ${fault}`)
    if (!counts) continue
    fault++
    tally.kills++
    tally.fault('SIGKILL at random')
  }
}
