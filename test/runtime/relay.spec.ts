/** How what was committed is sent: one batch at a time, again when it failed, and by whoever comes next. */
import { expect, test } from 'vitest'
import { json } from '../../src/codecs/index.ts'
import type { OutgoingRecord, TopicWriter } from '../../src/core/emit.ts'
import { SourceError, UnavailableError } from '../../src/core/errors.ts'
import { emittedIn } from '../../src/testing/_emitted.ts'
import { memoryWriter } from '../../src/testing/memoryWriter.ts'
import { topic } from '../../src/topic.ts'
import { base, type Member, Service, toOut, upTo } from './_service.ts'

const copies = topic('copies', json<number>())
const plan = toOut(base).to(copies)

/** A writer whose sends wait until they are let through, or fail. */
class HeldWriter {
  readonly sent: number[][] = []
  #waiting: { resolve(): void; reject(error: unknown): void }[] = []
  readonly writer: TopicWriter

  constructor(service: Service) {
    const real = memoryWriter(service.broker, { create: 2 })
    this.writer = {
      open: (name) => real.open(name),
      shapeOf: (name) => real.shapeOf(name),
      close: () => real.close(),
      send: async (records: readonly OutgoingRecord[], signal) => {
        this.sent.push(records.map(({ value }) => JSON.parse(String(value)) as number))
        await new Promise<void>((resolve, reject) => {
          this.#waiting.push({ resolve, reject })
        })
        await real.send(records, signal)
      },
    }
  }

  let(outcome: 'through' | Error): void {
    for (const { resolve, reject } of this.#waiting.splice(0)) outcome === 'through' ? resolve() : reject(outcome)
  }
}

async function begin(): Promise<{ service: Service; held: HeldWriter; member: Member }> {
  const service = new Service()
  const held = new HeldWriter(service)
  const member = await service.start(plan, {
    writer: held.writer,
    limits: { everyMs: 0, maxItems: 2, maxBytes: 2 ** 26 },
  })
  return { service, held, member }
}

const readers = ({ broker }: Service) =>
  emittedIn(broker, copies)
    .map(({ value }) => value)
    .sort()

test('the next batch commits when the one before is sent, and takes it out of the outbox', async () => {
  const { service, held } = await begin()
  service.append(upTo(6))
  await service.settle()
  expect([service.rows, held.sent]).toEqual([[0, 1], [[0, 1]]])
  held.let('through')
  await service.settle()
  expect([service.rows, held.sent.length]).toEqual([upTo(4), 2])
  expect(service.store.outbox.emits.map(({ sequence }) => sequence)).toEqual([3, 4])
  held.let('through')
  await service.settle()
  held.let('through')
  await service.stop()
  expect(readers(service)).toEqual(upTo(6))
})

test('a task that stays idle takes what was sent out of the outbox by itself', async () => {
  const { service, held } = await begin()
  service.append([1])
  await service.settle()
  held.let('through')
  await service.settle()
  expect(service.store.outbox.emits.length).toBe(1)
  await service.advance(1_000)
  expect(service.store.outbox.emits).toEqual([])
  await service.stop()
})

test('a stop waits until all is sent', async () => {
  const { service, held, member } = await begin()
  service.append([1])
  await service.settle()
  const stopped = member.runner.stop(10_000)
  await service.settle()
  held.let('through')
  await stopped
  expect(readers(service)).toEqual([1])
  expect(service.store.outbox.emits).toEqual([])
})

test('what could not be sent is sent again', async () => {
  const { service, held } = await begin()
  service.append([1])
  await service.settle()
  held.let(new UnavailableError('MR-TEST', { what: 'away' }))
  await service.advance(200)
  held.let('through')
  await service.settle()
  expect(held.sent).toEqual([[1], [1]])
  expect(readers(service)).toEqual([1])
  await service.stop()
})

test('what can never be sent stops the service, also while it is idle, and stays in the outbox', async () => {
  const { service, held, member } = await begin()
  service.append([1])
  await service.settle()
  held.let(new SourceError('MR-TEST', { what: 'no such topic any more' }))
  await expect(member.runner.failed()).rejects.toThrow('no such topic any more')
  expect(service.store.outbox.emits.length).toBe(1)
  await service.stop()
})

test('whoever comes next sends what was left before he begins, and goes on with higher numbers', async () => {
  const { service, held, member } = await begin()
  service.append([1])
  await service.settle()
  held.let(new SourceError('MR-TEST', { what: 'gone' }))
  await member.runner.failed().catch(() => {})
  await member.runner.stop(1_000)
  service.append([2])
  const next = new HeldWriter(service)
  await service.start(plan, { writer: next.writer })
  await service.settle()
  expect([next.sent, service.rows]).toEqual([[[1]], [1]])
  next.let('through')
  await service.settle()
  next.let('through')
  await service.settle()
  expect(service.rows).toEqual([1, 2])
  expect(service.store.outbox.emits.map(({ sequence }) => sequence)).toEqual([2])
  expect(readers(service)).toEqual([1, 2])
  await service.stop()
})

test('what was left is sent although the plan does not write to topics any more', async () => {
  const { service, held, member } = await begin()
  service.append([1])
  await service.settle()
  held.let(new SourceError('MR-TEST', { what: 'gone' }))
  await member.runner.failed().catch(() => {})
  await member.runner.stop(1_000)
  const next = new HeldWriter(service)
  await service.start(toOut(base), { writer: next.writer })
  await service.settle()
  expect(next.sent).toEqual([[1]])
  next.let('through')
  await service.stop()
  expect(service.store.outbox.emits).toEqual([])
})

test('a topic that does not exist is refused at the start, with stream and step', async () => {
  const service = new Service()
  const started = service.start(plan, { writer: memoryWriter(service.broker) })
  await expect(started).rejects.toMatchObject({
    code: 'MR-KAFKA-TOPIC-MISSING',
    place: { stream: 's', step: 'to:copies' },
  })
})

test('without a Kafka to write to, a plan that writes to topics is refused', async () => {
  await expect(new Service().start(plan)).rejects.toMatchObject({ code: 'MR-EMIT-KAFKA', place: { step: 'to:copies' } })
})

test('a topic that no step names and that does not exist stops the stream by its name', async () => {
  const service = new Service()
  const writing = base.tap((n, ctx) => ctx.write(copies, n))
  const { runner } = await service.start(writing, { writer: memoryWriter(service.broker) })
  service.append([1])
  await expect(runner.failed()).rejects.toThrow('"copies" does not exist')
  expect(await service.progress()).toEqual({ 0: 0 })
  await service.stop()
})
