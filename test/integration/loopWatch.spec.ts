import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { json, type Stream, stream, table, topic } from '../../src/index.ts'
import { LoopWatch } from '../../src/service/loopWatch.ts'
import { createLog, createMember, filledBroker } from '../service/_member.ts'
import { until } from '../support/until.ts'

interface Numbered {
  readonly id: number
}
const numbers = stream('numbers').from(topic('t', json<Numbered>()))
const out = table<Numbered>('out')

const blockedAfterMs = 100
const ending: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ending.splice(0)) await end()
})

/** A watched service whose plan may keep the event loop until the other thread has seen it. */
async function watched(plan: (block: () => void) => Stream<Numbered>) {
  const { log, lines } = createLog()
  const watch = new LoopWatch({ blockedAfterMs }, log)
  ending.push(() => watch.stop())
  watch.start()
  await until('it looks on', () => watch.isWatched)
  const { service, store } = createMember(
    plan(() => block(watch)),
    {
      broker: filledBroker({ records: 20 }),
      parts: { cursor: watch.cursor, log },
    },
  )
  ending.push(() => service.stop())
  const warnings = () => lines.filter(({ level }) => level === 'warn')
  return { service, store, warnings, watch }
}

/** Keeps the event loop for as long as it takes to be seen, which on a busy machine is longer. */
function block(watch: LoopWatch): void {
  const began = performance.now()
  while (performance.now() - began < 3 * blockedAfterMs || watch.sightings < 5) {
    if (performance.now() - began > 20_000) throw new Error('nobody looks on')
  }
}

function slowAt7(value: Numbered, slow: () => void): Numbered {
  if (value.id === 7) slow()
  return value
}

describe('a step that keeps the event loop busy is named, with its record', () => {
  test.each<[string, string, number, (block: () => void) => Stream<Numbered>]>([
    [
      'the first of several',
      'map',
      7,
      (slow) =>
        numbers
          .map((v) => slowAt7(v, slow))
          .filter(() => true)
          .tap(() => {})
          .to(out),
    ],
    [
      'one behind others',
      'tap#2',
      7,
      (slow) =>
        numbers
          .map((v) => v)
          .tap(() => {})
          .tap((v) => slowAt7(v, slow))
          .to(out),
    ],
    ['the beginning of a call', 'mapAsync', 7, (slow) => numbers.mapAsync(async (v) => slowAt7(v, slow)).to(out)],
    [
      'one that decides by a group',
      'map',
      5,
      (slow) =>
        numbers
          .batch({ max: 5 })
          .map((group) => group.map((v) => slowAt7(v, slow)))
          .flatten()
          .to(out),
    ],
  ])('%s', async (_, step, offset, plan) => {
    const { service, warnings, store } = await watched(plan)
    await service.start()
    await until('it was told', () => warnings().length > 0)
    const [warning] = warnings()
    // Of a group the first record stands for all.
    expect(warning?.fields).toMatchObject({ stream: 'numbers', step, topic: 't', partition: 0, offset })
    expect(warning?.fields.blockedMs).toBeGreaterThanOrEqual(blockedAfterMs)
    const calls = warning?.fields.calls as string[]
    expect(calls.some((call) => call.startsWith('slowAt7 ('))).toBe(true)
    expect(calls.filter((call) => call.includes('/src/') || call.includes('/operators/'))).toEqual([])
    expect(warning?.message).toContain(`step "${step}" has kept the event loop busy`)
    await service.caughtUp()
    expect(store.rows('out').length).toBe(20)
  })
})

test('of one step there is a line now and then, not one for each item', async () => {
  const { service, warnings } = await watched((slow) => numbers.tap(({ id }) => id < 3 && slow()).to(out))
  await service.start()
  await service.caughtUp()
  await until('it was told', () => warnings().length > 0)
  await sleep(2 * blockedAfterMs)
  expect(warnings().length).toBe(1)
})

test('what is no step of the plan is told of as that', async () => {
  const { service, warnings, watch } = await watched(() => numbers.to(out))
  await service.start()
  await service.caughtUp()
  block(watch)
  await until('it was told', () => warnings().length > 0)
  expect(warnings()[0]?.message).toContain('by no synchronous step of the plan')
})

test('nothing is told while nothing is blocked', async () => {
  const { service, warnings } = await watched(() => numbers.mapAsync(async (v) => sleep(5, v)).to(out))
  await service.start()
  await service.caughtUp()
  expect(warnings().filter(({ message }) => message?.includes('step "'))).toEqual([])
})

test('a process that stood still says so, and a callback without an end is named on stderr', async () => {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', fileURLToPath(new URL('blockedProcess.ts', import.meta.url))],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
  ending.push(() => child.kill('SIGKILL'))
  const told = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  expect((await told.next()).value).toBe('ready')
  child.kill('SIGSTOP')
  await sleep(800)
  child.kill('SIGCONT')
  expect((await told.next()).value).toContain('the whole process stood still')
  child.stdin.write('go\n')
  const [text] = await once(child.stderr, 'data')
  expect(String(text)).toMatch(
    /^millrace: the event loop has been kept busy for \d+ s \(stream "numbers", step "tap", t\[0\]@0\)\n.*\n.*MR-RUN-BLOCKED\n$/,
  )
}, 30_000)
