/** The broker is killed and started again, stays away for longer than a service is willing to wait, or falls silent. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Episode, OwnServers } from '../kinds.ts'
import type { Scene } from '../scene.ts'

type Kafka = NonNullable<OwnServers['kafka']>

const members = 2
/** Longer than a session: the group has forgotten everybody when it wakes up. */
const silentMs = 8_000

const faultNames = ['broker killed', 'broker away for long', 'broker silent'] as const

export async function strikeBrokers({ scene, tally, first, faults, own: { kafka } }: Episode): Promise<void> {
  if (kafka === undefined) throw new TypeError('an episode of this kind has a broker of its own')
  for (let count = 0; count < members; count++) scene.start()
  await scene.goesOn('the start')
  for (let fault = 0; fault < faults; fault++) {
    const name = faultNames[(first + fault) % faultNames.length] ?? 'broker killed'
    await scene.isBusy()
    if (name === 'broker killed') {
      await kafka.kill()
      await kafka.restart()
    } else if (name === 'broker silent') {
      kafka.pause()
      await sleep(silentMs)
      kafka.resume()
    } else await outlast(scene, kafka)
    await scene.goesOn(name)
    tally.fault(name)
  }
}

/** A service that waits for 5 s only ends, and says why; the others are still there when the broker comes back. */
async function outlast(scene: Scene, kafka: Kafka): Promise<void> {
  const impatient = scene.start({ MILLRACE_KAFKA_GIVE_UP_AFTER_MS: '5000' })
  await scene.until(`${impatient.name} has joined`, () => impatient.joins > 0)
  await scene.goesOn('one more service')
  scene.dismiss(impatient)
  await kafka.kill()
  const { code } = await impatient.ended
  if (code !== 3 || !impatient.error.includes('MR-KAFKA-UNREACHABLE'))
    scene.complaints.push(`Kafka was away, and a service ended with code ${code}: ${impatient.error}`)
  await kafka.restart()
}
