import { recordListChunk } from '../core/recordListChunk.ts'
import type { WaitingItem } from '../core/store.ts'
import type { TaskInput } from './input.ts'
import { InputChunk } from './inputChunk.ts'
import type { TaskInfo } from './taskInfo.ts'

/** Items of the collector as input of their task: those of one topic that follow one another as one chunk. */
export function waitingChunks({ inputs, partition }: TaskInfo, items: readonly WaitingItem[]): InputChunk[] {
  const chunks: InputChunk[] = []
  // What came from a topic that is read no more is taken for the stream's own: it has to come to an end somewhere.
  const inputOf = (item: WaitingItem | undefined) =>
    inputs.find(({ source }) => source.name === item?.topic) ?? (inputs[0] as TaskInput)
  for (let from = 0, to = 0; from < items.length; from = to) {
    const input = inputOf(items[from])
    const topic = input.source.name
    while (to < items.length && inputOf(items[to]) === input) to++
    const records = items.slice(from, to).map(({ offset, timestamp, key, value, headers }) => {
      return { offset, timestamp: timestamp?.getTime() ?? 0, key, value, headers }
    })
    const end = (records.at(-1)?.offset ?? 0) + 1
    chunks.push(new InputChunk(recordListChunk({ topic, partition, records, nextOffset: end, endOffset: end }), input))
  }
  return chunks
}
