/** SIGKILL at the named points. */
import type { Episode } from '../kinds.ts'
import { points } from '../points.ts'
import { provoke } from './provoke.ts'

const members = 3

export async function strikeAtPoints({ scene, tally, first, faults }: Episode): Promise<void> {
  for (let count = 0; count < members; count++) scene.start()
  await scene.goesOn('the start')
  for (let fault = 0; fault < faults; fault++) {
    const point = points[(first + fault) % points.length] ?? points[0]
    await scene.isBusy()
    const victim = scene.pick(first + fault)
    await provoke(scene, victim, point, 'SIGKILL')
    const { signal } = await victim.ended
    if (signal !== 'SIGKILL') scene.complaints.push(`${victim.name} was to die at "${point}" and ended with ${signal}`)
    while (scene.members.length < members) scene.start()
    await scene.goesOn(`SIGKILL at "${point}"`)
    tally.kills++
    tally.point(point)
    tally.fault('SIGKILL at a point')
  }
}
