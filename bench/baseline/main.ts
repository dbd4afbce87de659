/** The measured process of the baseline. */
import { createMeter, readTask } from '../child.ts'
import { type ConsumeOptions, consume } from './consumer.ts'
import { createSavepointLane } from './savepoints.ts'
import { createW1IgnoreLane, createW1Lane } from './w1.ts'
import { createW1EmitLane } from './w1Emit.ts'
import { createW2Lane, createW2UpdateLane } from './w2.ts'
import { createW3Lane } from './w3.ts'

const task = readTask()
const lanes: Readonly<Record<string, ConsumeOptions>> = {
  W1: { createLane: createW1Lane },
  'W1-ignore': { createLane: createW1IgnoreLane },
  'W1-emit': { createLane: () => createW1EmitLane(task) },
  W2: { createLane: createW2Lane },
  'W2-update': { createLane: createW2UpdateLane },
  W3: { createLane: createW3Lane },
  savepoints: { createLane: createSavepointLane },
  latency: { createLane: createW1Lane },
}

const options = lanes[task.workload]
if (options === undefined) throw new Error(`the baseline has no workload "${task.workload}"`)
await consume(task, createMeter(), options)
process.exit()
