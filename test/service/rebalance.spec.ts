/** What the service makes of assignments that come and go; the client and the tasks are stand-ins. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/core/logger.ts'
import type { AssignedPartition, Assignment, SourceClient } from '../../src/core/source.ts'
import type { Task } from '../../src/runtime/task.ts'
import { CatchUp } from '../../src/service/catchUp.ts'
import { Partitions } from '../../src/service/partitions.ts'
import { Watchdog } from '../../src/service/watchdog.ts'
import { VirtualClock } from '../../src/testing/virtualClock.ts'

let ends: number[]
let tasks: Task[]
let partitions: Partitions
let assign: (assignment: Assignment) => void
let revoke: () => void

beforeEach(async () => {
  ends = [10, 10]
  tasks = []
  revoke = () => {}
  partitions = new Partitions(() => tasks)
  const client: SourceClient = {
    start: async (_topics, onAssigned) => {
      assign = onAssigned
    },
    stop: async () => {},
    committedOffset: async () => undefined,
  }
  await partitions.watch(client).start(
    ['t'],
    () => {},
    () => {},
  )
})

/** A group join: new objects, also for the same partitions. */
function join(...numbers: number[]): AssignedPartition[] {
  revoke()
  const controller = new AbortController()
  revoke = () => controller.abort()
  const assigned = numbers.map(
    (partition): AssignedPartition => ({
      topic: 't',
      partition,
      revoked: controller.signal,
      bounds: async () => ({ start: 0, end: ends[partition] ?? 0 }),
      offsetAt: async () => 0,
      recordAt: async () => undefined,
      read: async function* () {},
      hint: () => {},
    }),
  )
  tasks = []
  assign({ partitions: assigned })
  return assigned
}

function at(partition: AssignedPartition | undefined, committedTo: number | undefined, state = 'waiting'): void {
  const others = tasks.filter((task) => !task.partitions.some((own) => own === partition))
  tasks = [...others, { partitions: [partition], committedTo: () => committedTo, state } as unknown as Task]
}

describe('catching up', () => {
  const answered = async (catchUp: CatchUp) => {
    catchUp.look()
    await nextTurn()
    return catchUp.look()
  }

  test('waits for the first assignment', () => {
    expect(new CatchUp(partitions, silentLogger).look()).toBe('waiting')
  })

  test('is nothing to do for a member without partitions', () => {
    join()
    expect(new CatchUp(partitions, silentLogger).look()).toBe('caught up')
  })

  test('is not over while a rebalance is under way', async () => {
    const [first] = join(0)
    at(first, 10)
    const catchUp = new CatchUp(partitions, silentLogger)
    expect(await answered(catchUp)).toBe('caught up')
    revoke()
    tasks = []
    expect(catchUp.look()).toBe('waiting')
    const [again, second] = join(0, 1)
    at(again, 10)
    expect(catchUp.look()).toBe('waiting')
    at(second, 10)
    expect(await answered(catchUp)).toBe('caught up')
  })

  test('waits for tasks that have not claimed their progress', async () => {
    const [first] = join(0)
    const catchUp = new CatchUp(partitions, silentLogger)
    expect(await answered(catchUp)).toBe('waiting')
    at(first, undefined, 'claiming')
    expect(catchUp.look()).toBe('waiting')
    at(first, 10)
    expect(catchUp.look()).toBe('caught up')
  })

  test('keeps the end it saw first, also of a partition that comes back', async () => {
    const catchUp = new CatchUp(partitions, silentLogger)
    at(join(0)[0], 5)
    expect(await answered(catchUp)).toBe('waiting')
    ends = [99, 99]
    at(join(0)[0], 10)
    expect(await answered(catchUp)).toBe('caught up')
  })

  test('asks again when the end could not be had', async () => {
    const [first] = join(0)
    let asked = 0
    Object.assign(first ?? {}, {
      bounds: async () => {
        if (asked++ === 0) throw new Error('away')
        return { start: 0, end: 10 }
      },
    })
    at(first, 10)
    const catchUp = new CatchUp(partitions, silentLogger)
    expect(await answered(catchUp)).toBe('waiting')
    expect(await answered(catchUp)).toBe('caught up')
  })
})

describe('the watchdog', () => {
  const stallAfterMs = 1_000
  let watchdog: Watchdog
  beforeEach(() => {
    watchdog = new Watchdog(partitions, stallAfterMs, silentLogger)
  })

  test('is not put off by a group that rebalances again and again', async () => {
    for (let now = 0; now < stallAfterMs; now += 250) {
      // Sometimes it finds a task that has not claimed yet.
      at(join(0)[0], now % 500 === 0 ? 3 : undefined)
      expect(await watchdog.look(now)).toBeUndefined()
    }
    revoke()
    expect(await watchdog.look(stallAfterMs)).toBeUndefined()
    join(0)
    expect((await watchdog.look(stallAfterMs))?.message).toContain(
      'nothing was committed for 1 s, though the log goes on to 10 (t[0]@3)',
    )
  })

  test('goes by what it knows where the source does not answer', async () => {
    const clock = new VirtualClock()
    watchdog = new Watchdog(partitions, stallAfterMs, silentLogger, clock)
    at(join(0)[0], 3)
    expect(await watchdog.look(0)).toBeUndefined()
    const [hanging] = join(0)
    Object.assign(hanging ?? {}, { bounds: () => new Promise(() => {}) })
    at(hanging, 3)
    const look = watchdog.look(500)
    clock.step(stallAfterMs)
    expect(await look).toBeUndefined()
    at(join(0)[0], 3)
    expect((await watchdog.look(stallAfterMs))?.message).toContain('nothing was committed for 1 s')
  })

  test('begins anew with every commit', async () => {
    for (let now = 0, committed = 0; now < 5_000; now += 500) {
      const [first] = join(0)
      ends = [committed + 10]
      at(first, committed++)
      expect(await watchdog.look(now)).toBeUndefined()
    }
  })

  test('does not count the time in which there was nothing to do', async () => {
    const [first] = join(0)
    at(first, 10)
    for (let now = 0; now < 5_000; now += 250) expect(await watchdog.look(now)).toBeUndefined()
    ends = [11]
    expect(await watchdog.look(5_000)).toBeUndefined()
    expect(await watchdog.look(5_999)).toBeUndefined()
    expect(await watchdog.look(6_000)).toBeDefined()
  })

  test('forgets partitions that went to others', async () => {
    const [first] = join(0, 1)
    at(first, 0)
    expect(await watchdog.look(0)).toBeUndefined()
    join(1)
    at(join(1)[0], 10)
    expect(await watchdog.look(900)).toBeUndefined()
    at(join(0)[0], 0)
    expect(await watchdog.look(1_100)).toBeUndefined()
  })
})
