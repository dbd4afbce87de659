import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { recordListChunk } from '../../src/core/recordListChunk.ts'
import type { AssignedPartition } from '../../src/core/source.ts'
import { Batch } from '../../src/runtime/batch.ts'
import { Budget } from '../../src/runtime/budget.ts'
import { EmitBuffer } from '../../src/runtime/emitBuffer.ts'
import { PartitionInbox } from '../../src/runtime/inbox.ts'
import type { Input } from '../../src/runtime/input.ts'
import { taskPlanOf } from '../../src/runtime/taskStreams.ts'
import { WriteSet } from '../../src/runtime/writeSet.ts'
import { base, numbers, Service, toOut, upTo } from './_service.ts'

const inboxOf = (budget: Budget, partition: AssignedPartition) => {
  const input = { index: 0, source: numbers, step: 'from:numbers', isTimed: false }
  return new PartitionInbox({ input, partition, budget, position: 0, endOffset: 0, changed: () => {} })
}

const never = new AbortController().signal

async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false
  void promise.then(() => {
    done = true
  })
  for (let turn = 0; turn < 5; turn++) await nextTurn()
  return done
}

describe('the budget', () => {
  it('has room until items or bytes are used up', async () => {
    const budget = new Budget(100, 10)
    expect(await settled(budget.room(never))).toBe(true)
    budget.take(99, 9)
    expect(await settled(budget.room(never))).toBe(true)
    budget.take(1, 0)
    expect(await settled(budget.room(never))).toBe(false)
    budget.give(1, 0)
    budget.take(0, 1)
    expect(await settled(budget.room(never))).toBe(false)
  })

  it('lets all who wait look again when something is given back', async () => {
    const budget = new Budget(100, 10)
    budget.take(0, 20)
    const waiting = [budget.room(never), budget.room(never)]
    budget.give(0, 5)
    expect(await settled(Promise.race(waiting))).toBe(false)
    budget.give(0, 6)
    await Promise.all(waiting)
  })

  it('lets go of who waits when that is aborted', async () => {
    const budget = new Budget(100, 10)
    budget.take(0, 10)
    const controller = new AbortController()
    const waiting = budget.room(controller.signal)
    controller.abort()
    await waiting
    await budget.room(controller.signal)
  })
})

describe('the inbox', () => {
  /** A partition of chunks of one record that counts how many were fetched. */
  const partitionOf = (count: number) => {
    const fetched = { count: 0 }
    const partition = {
      topic: 't',
      partition: 0,
      async *read() {
        for (let offset = 0; offset < count; offset++) {
          fetched.count++
          const record = { offset, key: null, value: Buffer.from('x'), headers: [], timestamp: 0 }
          yield recordListChunk({
            topic: 't',
            partition: 0,
            records: [record],
            nextOffset: offset + 1,
            endOffset: count,
          })
        }
      },
    } as unknown as AssignedPartition
    return { fetched, partition }
  }

  it('reads ahead as far as the budget goes, and one chunk where it goes nowhere', async () => {
    const budget = new Budget(1_000_000, 5)
    const first = partitionOf(20)
    const inbox = inboxOf(budget, first.partition)
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    expect([first.fetched.count, inbox.chunks.length]).toEqual([5, 5])
    const second = partitionOf(20)
    const other = inboxOf(budget, second.partition)
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    expect([second.fetched.count, other.chunks.length]).toEqual([1, 1])
    inbox.close()
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    expect([second.fetched.count, inbox.chunks.length]).toEqual([5, 0])
    other.close()
    expect(await settled(budget.room(never))).toBe(true)
  })

  it('gives its share back with what was committed', async () => {
    const budget = new Budget(1_000_000, 5)
    const { fetched, partition } = partitionOf(20)
    const inbox = inboxOf(budget, partition)
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    const batch = new Batch(new WriteSet([], new EmitBuffer(() => undefined)), taskPlanOf('s', []).streams)
    batch.open(0)
    for (const chunk of inbox.chunks.slice(0, 3)) batch.add(chunk, 1)
    inbox.consume(batch)
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    expect([fetched.count, inbox.chunks.length]).toEqual([8, 5])
    inbox.close()
  })
})

describe('the inbox of a task that others leave no room', () => {
  it('waits for room once, however many chunks it has taken meanwhile', async () => {
    const budget = new Budget(1_000_000, 5)
    budget.take(0, 5)
    let waiting = 0
    const room = budget.room.bind(budget)
    budget.room = async (signal) => {
      waiting++
      await room(signal)
      waiting--
    }
    let offset = 0
    const partition = {
      async *read() {
        for (; offset < 20; offset++) {
          const record = { offset, key: null, value: Buffer.from('x'), headers: [], timestamp: 0 }
          const position = { nextOffset: offset + 1, endOffset: 20 }
          yield recordListChunk({ topic: 't', partition: 0, records: [record], ...position })
        }
      },
    } as unknown as AssignedPartition
    const inbox = inboxOf(budget, partition)
    const batch = new Batch(new WriteSet([], new EmitBuffer(() => undefined)), taskPlanOf('s', []).streams)
    for (let chunk = 0; chunk < 10; chunk++) {
      for (let turn = 0; turn < 5; turn++) await nextTurn()
      batch.open(0)
      batch.add(inbox.chunks[0] as Input, 1)
      inbox.consume(batch)
    }
    for (let turn = 0; turn < 5; turn++) await nextTurn()
    expect([offset, waiting]).toEqual([10, 1])
    inbox.close()
    for (let turn = 0; turn < 5; turn++) await nextTurn()
    expect(waiting).toBe(0)
  })
})

describe('a service with a budget smaller than its backlog', () => {
  it('takes everything, with no time passing', async () => {
    const service = new Service({ partitions: 3, chunkRecords: 7 })
    for (const partition of upTo(3)) service.append(upTo(500, partition * 500), partition)
    await service.start(toOut(base), { buffer: { maxBytes: 2 ** 28, maxItems: 10 } })
    await service.until('everything was taken', () => service.rows.length === 1_500)
    expect(service.clock.now()).toBe(0)
    expect(service.rows.toSorted((a, b) => a - b)).toEqual(upTo(1_500))
    await service.stop()
  })

  it('takes everything where chunks are larger than the budget', async () => {
    const service = new Service({ partitions: 2, chunkRecords: 100 })
    for (const partition of upTo(2)) service.append(upTo(300, partition * 300), partition)
    await service.start(toOut(base), { buffer: { maxBytes: 1, maxItems: 1 } })
    await service.until('everything was taken', () => service.rows.length === 600)
    await service.stop()
  })

  it('keeps an open group waiting for its time, and then goes on', async () => {
    const service = new Service({ chunkRecords: 2 })
    service.append(upTo(20))
    const plan = toOut(base.batch({ maxWaitMs: 500 }).flatten())
    await service.start(plan, { buffer: { maxBytes: 2 ** 20, maxItems: 4 } })
    await service.advance(60_000)
    expect(service.rows).toEqual(upTo(20))
    await service.stop()
  })

  it('fetches no further than the budget while a commit hangs', async () => {
    const service = new Service({ chunkRecords: 5 })
    service.append(upTo(500))
    let release = () => {}
    const hanging = new Promise<void>((resolve) => {
      release = resolve
    })
    const { runner } = await service.start(toOut(base.mapAsync(async (n) => hanging.then(() => n))), {
      buffer: { maxBytes: 2 ** 20, maxItems: 20 },
    })
    await service.settle()
    expect(runner.tasks[0]?.fetchedTo(numbers.name)).toBeLessThanOrEqual(25)
    release()
    await service.until('everything was taken', () => service.rows.length === 500)
    await service.stop()
  })
})
