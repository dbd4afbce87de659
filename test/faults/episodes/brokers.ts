/** The broker is killed and started again, or falls silent. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Episode } from '../kinds.ts'

const members = 2
/** Longer than a session: the group has forgotten everybody when it wakes up. */
const silentMs = 8_000

export async function strikeBrokers({ scene, tally, first, faults, own: { kafka } }: Episode): Promise<void> {
  if (kafka === undefined) throw new TypeError('an episode of this kind has a broker of its own')
  for (let count = 0; count < members; count++) scene.start()
  await scene.goesOn('the start')
  for (let fault = 0; fault < faults; fault++) {
    await scene.isBusy()
    const silent = (first + fault) % 3 === 2
    if (silent) {
      kafka.pause()
      await sleep(silentMs)
      kafka.resume()
    } else {
      await kafka.kill()
      await kafka.restart()
    }
    const name = silent ? 'broker silent' : 'broker killed'
    await scene.goesOn(name)
    tally.fault(name)
  }
}
