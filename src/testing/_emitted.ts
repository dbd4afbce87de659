/** What plans have sent, as readers that drop repeats see it. */
import { sequenceHeader, taskHeader } from '../core/emit.ts'
import type { TopicSource } from '../core/source.ts'
import { EmittedSequences } from '../emittedSequences.ts'
import type { MemoryBroker } from './memoryBroker.ts'

const repeatHeaders = new Set([taskHeader, sequenceHeader])

/** A record that a plan has sent. */
export interface EmittedRecord<T> {
  readonly partition: number
  readonly key: string | null
  /** Null for a tombstone. */
  readonly value: T | null
  readonly timestamp: Date
  /** Without those by which readers know repeats. */
  readonly headers: Readonly<Record<string, string>>
}

/** What has to be known of a topic to read it. */
export type SentTopic<T> = Pick<TopicSource<T>, 'name' | 'codec'>

interface IdentifiedRecord<T> extends EmittedRecord<T> {
  /** Its task and sequence. */
  readonly id: string
}

/** Records of a topic that tasks have sent, in order for each partition. */
export function emittedIn<T>(broker: MemoryBroker, topic: SentTopic<T>): IdentifiedRecord<T>[] {
  const partitions = Array.from({ length: broker.partitionsOf(topic.name) }, (_, partition) => partition)
  return partitions.flatMap((partition) => {
    const seen = new EmittedSequences()
    return broker.records({ topic: topic.name, partition }).flatMap(({ key, value, timestamp, headers }) => {
      const texts = Object.fromEntries(headers.map((header) => [header.key, header.value?.toString() ?? '']))
      if (texts[taskHeader] === undefined || seen.isRepeat(texts)) return []
      const own = Object.entries(texts).filter(([name]) => !repeatHeaders.has(name))
      return [
        {
          id: `${texts[taskHeader]} ${texts[sequenceHeader]}`,
          partition,
          key: key?.toString() ?? null,
          value: value === null ? null : topic.codec.decode(value, 0, value.length),
          timestamp: new Date(timestamp),
          headers: Object.fromEntries(own),
        },
      ]
    })
  })
}
