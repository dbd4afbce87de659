import type { SourceClient } from '../core/source.ts'
import type { BoundedPartition } from './boundedPartition.ts'

/** A source with one partition that ends. There is no group: it is assigned once. */
export function boundedClient(partition: BoundedPartition): SourceClient {
  return {
    async start(_topics, onAssigned) {
      onAssigned({ partitions: [partition] })
    },
    stop: () => partition.close(),
    committedOffset: async () => undefined,
  }
}
