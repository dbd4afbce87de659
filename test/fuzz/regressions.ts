/** What bad input has broken, each with the input that showed it. Played again with the quick tests. */
import { deepStrictEqual, match, ok, throws } from 'node:assert'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { ItemError, PlanError, StoreError } from '../../src/core/errors.ts'
import type { RowBuffer } from '../../src/core/sink.ts'
import type { SourceClient } from '../../src/core/source.ts'
import { CopyBuffer } from '../../src/postgres/copyBuffer.ts'
import { RowLayouts } from '../../src/postgres/rowLayout.ts'
import { UpsertBuffer } from '../../src/postgres/upsertBuffer.ts'
import { stream } from '../../src/stream.ts'
import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'
import { MemoryBuffer } from '../../src/testing/memoryStore.ts'
import { topic } from '../../src/topic.ts'
import { boundTo, column } from '../postgres/support.ts'
import { startRunner } from './runner.ts'

export interface Regression {
  /** What happened, as it was before it was mended. */
  readonly name: string
  /** @throws when it happens again */
  replay(): void | Promise<void>
}

const columns = [column('id', 'int4'), column('name', 'text')]
const buffers = (): RowBuffer[] => [
  new CopyBuffer(boundTo(columns)),
  new UpsertBuffer(boundTo(columns, { key: 'id' as never })),
]

const broken = new Error('x')
Object.defineProperty(broken, 'message', {
  get() {
    throw new Error('nobody may look')
  },
})

export const regressions: readonly Regression[] = [
  {
    name: 'null as options was a TypeError',
    replay() {
      throws(() => table('t', null as never), PlanError)
      throws(() => topic('t', json(), null as never), PlanError)
    },
  },
  {
    name: 'streams whose names end in different halves of surrogate pairs had one progress between them',
    replay() {
      for (const name of ['s\ud800', 's\ud801', 's\0']) throws(() => stream(name), PlanError)
    },
  },
  {
    name: 'a text or a list for a row stopped the service, for the table has no column "0"',
    replay() {
      for (const buffer of [...buffers(), new MemoryBuffer(table('t'))]) {
        for (const row of ['text', [1], null, undefined, 5, true, 1n]) {
          throws(
            () => buffer.append(row as never, 0),
            (error) => error instanceof ItemError && error.code === 'MR-SINK-ROW',
          )
        }
        deepStrictEqual(buffer.length, 0)
      }
    },
  },
  {
    name: 'a property "id\\0!name" was taken for the properties "id" and "name", and a row of nulls written',
    replay() {
      for (const buffer of buffers()) {
        buffer.append({ id: 1, name: 'a' }, 0)
        throws(() => buffer.append({ 'id\0!name': 1 }, 1), StoreError)
        deepStrictEqual(buffer.length, 1)
      }
    },
  },
  {
    name: 'rows with ever other properties beside the columns of the sink were remembered for ever',
    replay() {
      let made = 0
      const layouts = new RowLayouts(boundTo(columns, { columns: ['id'] as never }), () => made++)
      for (let n = 0; n < 1_500; n++) layouts.layoutOf({ id: n, [`extra${n}`]: 1 })
      deepStrictEqual(made, 1_500)
      layouts.layoutOf({ id: 1, extra0: 1 })
      ok(made > 1_500, 'the first is forgotten by now')
    },
  },
  {
    name: 'an item with malformed headers that was collected stopped the service at every start',
    async replay() {
      const broker = createMemoryBroker()
      broker.createTopic('t', 1)
      for (const value of ['1', 'no JSON', '3']) broker.append('t', 0, { value: Buffer.from(value) })
      const plan = stream('s')
        .from(topic('t', json<number>()))
        .to(table('t'), (n) => ({ n }))
      const service = await startRunner(plan, { client: malformedHeaders(broker.client('fuzz'), 1), maxItems: 10 })
      await service.readUpTo(3)
      deepStrictEqual(service.store.rows('t'), [{ n: 1 }, { n: 3 }])
      deepStrictEqual(
        service.store.collected.map(({ offset, headers }) => [offset, headers]),
        [[1, []]],
      )
      await service.stop()
    },
  },
  {
    name: 'an error whose message is a getter that throws stopped the service',
    async replay() {
      const broker = createMemoryBroker()
      broker.createTopic('t', 1)
      broker.append('t', 0, { value: Buffer.from('1') })
      const plan = stream('s')
        .from(topic('t', json<number>()))
        .tap(() => {
          throw broken
        })
      const service = await startRunner(plan, { client: broker.client('fuzz'), maxItems: 10 })
      await service.readUpTo(1)
      match(service.store.collected[0]?.error.message ?? '', /undefined/)
      await service.stop()
    },
  },
]

/** A client whose chunks throw when the headers of one record are read, as those of fetched bytes do. */
function malformedHeaders(client: SourceClient, offset: number): SourceClient {
  return {
    start: (topics, onAssigned, onFailed) =>
      client.start(
        topics,
        ({ partitions }) =>
          onAssigned({
            partitions: partitions.map((partition) => ({
              ...partition,
              async *read(from: number) {
                for await (const chunk of partition.read(from)) {
                  const headers = (index: number) => {
                    if (chunk.offset(index) !== offset) return chunk.headers(index)
                    throw new ItemError('MR-KAFKA-HEADERS', { what: 'malformed' })
                  }
                  yield { ...chunk, headers }
                }
              },
            })),
          }),
        onFailed,
      ),
    stop: (deadlineMs) => client.stop(deadlineMs),
    committedOffset: (partition) => client.committedOffset(partition),
  }
}
