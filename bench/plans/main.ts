/** The measured process of millrace. */
import { setTimeout as delay } from 'node:timers/promises'
import { start } from 'millrace'
import { createMeter, readTask } from '../child.ts'
import { plans } from './events.ts'
import { featurePlans } from './features.ts'
import { countStatements } from './statements.ts'
import { statePlans } from './states.ts'
import { windowPlans } from './windows.ts'

/** The log tells of ignored items one by one, which is no part of what is measured. */
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

const task = readTask()
const meter = createMeter()
const statements = countStatements()
const makePlan = { ...plans, ...featurePlans, ...windowPlans, ...statePlans }[task.workload]
if (makePlan === undefined) throw new Error(`there is no plan for the workload "${task.workload}"`)
const observed = { seen: () => meter.seen(), counted: 0 }
const plan = makePlan(task.topic, observed)
const app = await start([plan], {
  group: task.group,
  kafka: { brokers: [...task.brokers] },
  postgres: { url: task.url },
  stateKeys: task.stateKeys,
  logger: silent,
})
const joinedAt = performance.now()
while (app.stats().commits === 0) await Promise.race([app.done, delay(1)])
const firstCommitMs = performance.now() - joinedAt
await app.caughtUp()
// Records that are produced while it runs come after the end that it caught up with.
while (app.stats().items < task.records) await Promise.race([app.done, delay(5)])
meter.finished({ records: task.records, counted: observed.counted, statements, firstCommitMs })
await app.stop()
