/**
 * What the synchronous path of W3 (parse, filter, map, count) allocates, by whose code allocates it.
 *
 *     npm run bench:allocations
 *
 * The heap is sampled every 512 bytes, objects that died young included, while a task's graph runs over the same chunk again
 * and again. The compiler inlines callbacks into the loop, so a profile cannot tell their objects from the loop's: the plan
 * runs twice, once as W3, and once with a codec and callbacks of the same shape that allocate nothing. What is left then is millrace's own.
 */
import type { HeapProfiler } from 'node:inspector'
import { Session } from 'node:inspector/promises'
import { systemClock } from '../src/core/clock.ts'
import { defaultErrorPolicy } from '../src/core/errorPolicy.ts'
import { silentLogger } from '../src/core/logger.ts'
import type { RecordChunk } from '../src/core/record.ts'
import { json, stream, topic } from '../src/index.ts'
import { Batch } from '../src/runtime/batch.ts'
import { CallMemory } from '../src/runtime/callMemory.ts'
import { Cursor } from '../src/runtime/cursor.ts'
import { EmitBuffer } from '../src/runtime/emitBuffer.ts'
import { Graph } from '../src/runtime/graph.ts'
import type { TaskInput } from '../src/runtime/input.ts'
import { InputChunk } from '../src/runtime/inputChunk.ts'
import { StateCache } from '../src/runtime/stateCache.ts'
import { taskPlanOf } from '../src/runtime/taskStreams.ts'
import { WriteSet } from '../src/runtime/writeSet.ts'
import { leavesOf, type Stream } from '../src/stream.ts'

interface Payment {
  readonly id: number
  readonly account: string
  readonly kind: string
  readonly amount: number
}

const items = 20_000
const passes = 100
let counted = 0
const session = new Session()
session.connect()
const chunk = createChunk()

const asW3 = await measure(
  stream('payments')
    .from(topic('payments', json<Payment>()))
    .filter((payment) => payment.kind !== 'ping')
    .map(({ id, account, amount }) => ({ id, account, cents: amount * 100 }))
    .tap(() => {
      counted++
    }),
)
const value: Payment = { id: 1, account: 'account-1', kind: 'pay', amount: 1 }
const own = await measure(
  stream('payments')
    .from(topic('payments', { name: 'prepared', decode: () => value, encode: () => Buffer.alloc(0) }))
    .filter((payment) => payment.kind !== 'ping')
    .map((payment) => payment)
    .tap(() => {
      counted++
    }),
)
session.disconnect()
for (const [site, bytes] of own.sites.slice(0, 10))
  process.stdout.write(`${bytes.toFixed(3).padStart(8)} bytes an item  ${site}\n`)
if (counted < items * passes) throw new Error('the plans did not count every item')
const result = { workload: 'W3', items: items * passes, bytes_per_item: asW3.bytes, millrace_bytes_per_item: own.bytes }
process.stdout.write(`${JSON.stringify(result)}\n`)
process.exitCode = own.bytes < 1 ? 0 : 1

async function measure(plan: Stream<unknown>) {
  const [leaf] = leavesOf(plan)
  if (leaf === undefined) throw new Error('a plan without a stream')
  const taskPlan = taskPlanOf(leaf.name, [leaf])
  const batch = new Batch(new WriteSet([], new EmitBuffer(() => undefined)), taskPlan.streams)
  const [source] = taskPlan.steps
  if (source?.kind !== 'source') throw new Error('a plan without a source')
  const input = { index: 0, source: source.source, step: source.name, isTimed: false }
  const info = {
    app: 'allocations',
    stream: leaf.name,
    partition: 0,
    inputs: [input],
    clock: systemClock,
    log: silentLogger,
    policy: defaultErrorPolicy,
    isWhole: false,
    planHash: '',
    random: Math.random,
    stateCache: new StateCache(1),
    lookUp: async () => [],
    cursor: new Cursor(),
    abandoned: new AbortController().signal,
  }
  const graph = new Graph(taskPlan, batch, info, new CallMemory(), () => {})
  for (let pass = 0; pass < 30; pass++) await runBatch(batch, graph, input)
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: 512,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  })
  for (let pass = 0; pass < passes; pass++) await runBatch(batch, graph, input)
  const { profile } = await session.post('HeapProfiler.stopSampling')
  const sites = new Map<string, number>()
  collect(profile.head, sites)
  const perItem = (bytes: number) => Math.round((bytes / (items * passes)) * 1000) / 1000
  const sorted = [...sites].map(([site, bytes]) => [site, perItem(bytes)] as const).sort(([, a], [, b]) => b - a)
  return { bytes: perItem([...sites.values()].reduce((sum, bytes) => sum + bytes, 0)), sites: sorted }
}

async function runBatch(batch: Batch, graph: Graph, input: TaskInput): Promise<void> {
  batch.open(0)
  graph.reset()
  await graph.run({ kind: 'chunk', chunk: batch.add(new InputChunk(chunk, input), items) })
  batch.countOutcomes()
}

function collect(node: HeapProfiler.SamplingHeapProfileNode, sites: Map<string, number>): void {
  const { functionName, url, lineNumber } = node.callFrame
  const file = url.split('/').slice(-2).join('/')
  const site = `${functionName === '' ? '(anonymous)' : functionName}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`
  sites.set(site, (sites.get(site) ?? 0) + node.selfSize)
  for (const child of node.children) collect(child, sites)
}

function createChunk(): RecordChunk {
  const values = Array.from({ length: items }, (_, id) => {
    const payment = {
      id,
      account: `account-${id % 1000}`,
      kind: id % 10 === 0 ? 'ping' : 'pay',
      amount: id / 100,
      note: 'x'.repeat(90),
    }
    return Buffer.from(JSON.stringify(payment))
  })
  const bytes = Buffer.concat(values)
  const ends = new Int32Array(items)
  let end = 0
  for (const [index, value] of values.entries()) {
    end += value.length
    ends[index] = end
  }
  const startOf = (index: number) => (index === 0 ? 0 : (ends[index - 1] as number))
  return {
    topic: 'payments',
    partition: 0,
    size: items,
    byteSize: bytes.length,
    nextOffset: items,
    endOffset: items,
    offset: (index) => index,
    timestamp: () => 0,
    key: () => null,
    value: (index) => bytes.subarray(startOf(index), ends[index]),
    headers: () => [],
    valueBuffer: () => bytes,
    valueStart: startOf,
    valueEnd: (index) => ends[index] as number,
  }
}
