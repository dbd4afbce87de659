/** A process that is stopped by its test, and whose callback then does not come back. */
import { once } from 'node:events'
import { json, stream, table, topic } from '../../src/index.ts'
import { LoopWatch } from '../../src/service/loopWatch.ts'
import { createMember, filledBroker } from '../service/_member.ts'
import { until } from '../support/until.ts'

const warn = (_: object, message?: string) => console.log(message)
const log = { debug: () => {}, info: () => {}, warn, error: warn }
const watch = new LoopWatch({ blockedAfterMs: 200, endlessAfterMs: 600 }, log)
const plan = stream('numbers')
  .from(topic('t', json<{ id: number }>()))
  .tap(() => {
    for (;;);
  })
  .to(table('out'))
const { service } = createMember(plan, { broker: filledBroker({ records: 3 }), parts: { cursor: watch.cursor, log } })
watch.start()
await until('it looks on', () => watch.isWatched)
console.log('ready')
await once(process.stdin, 'data')
await service.start()
