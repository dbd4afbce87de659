/** A short run of `npm run faults`: every kind of fault, and all points. What it looks at afterwards is the same. */
import { expect, test } from 'vitest'
import { points } from '../faults/points.ts'
import { runSuite } from '../faults/suite.ts'
import { summarize } from '../faults/summary.ts'
import { brokers, databaseUrl } from '../support/services.ts'

const sizes = { kills: 5, points: 1, zombies: 3, proxy: 10, postgres: 5, brokers: 3, members: 3 }

test('whatever strikes services, nothing is lost, doubled or out of order', async () => {
  const lines: string[] = []
  const results = await runSuite(
    { seed: 1, sizes, records: 50_000, jobs: 3, servers: { brokers, databaseUrl }, log: (line) => lines.push(line) },
    points.length,
  )
  const found = results.flatMap(({ id, findings }) =>
    findings.slice(0, 5).map(({ law, text }) => `${id}: ${law}: ${text}`),
  )
  const { kills, points: reached, faults, records, ...rest } = summarize(1, results)
  expect(rest, [...lines, ...found].join('\n')).toMatchObject({
    failed: 0,
    lost: 0,
    doubled: 0,
    orderBreaks: 0,
    others: 0,
  })
  expect(kills).toBe(sizes.kills + points.length)
  expect(Object.keys(reached).sort()).toEqual([...points].sort())
  expect(records).toBeGreaterThanOrEqual(50_000)
  expect(Object.keys(faults).length, JSON.stringify(faults)).toBeGreaterThanOrEqual(20)
}, 600_000)
