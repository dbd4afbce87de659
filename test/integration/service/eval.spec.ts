import { expect, test } from 'vitest'
import { freshTopic, produce } from '../../support/services.ts'
import { cli } from './_cli.ts'

const plan = 'test/integration/service/ordersPlan.ts'

test('millrace eval runs a step on a record of a topic, outside of any group and without a database', async () => {
  const topic = await freshTopic(2)
  await produce(topic, [
    { partition: 1, key: 'a', value: JSON.stringify({ id: 4, customer: 'c4' }) },
    { partition: 1, key: 'b', value: JSON.stringify({ id: 5, customer: 'c5' }) },
  ])
  const env = { ORDERS_TOPIC: topic }
  const { code, out, err } = await cli(['eval', plan, '--step', 'to:orders', '--at', `${topic}/1/1`, '--json'], { env })
  expect([code, err]).toEqual([0, ''])
  expect(JSON.parse(out)).toMatchObject({
    outcome: 'done',
    output: [{ id: 5, customer: 'c5' }],
    writes: [{ table: 'orders', row: { id: 5, customer: 'c5', part: 1 } }],
  })
  const gone = await cli(['eval', plan, '--step', 'to:orders', '--at', `${topic}/1/7`], { env })
  expect(gone.err).toContain(`there is no record 7 in ${topic}[1]`)
  expect(gone.code).toBe(5)
})
