import type { RowOrigin, RowOrigins, StandingItem } from '../core/store.ts'
import type { Batch } from './batch.ts'
import { itemOf, ownerOf } from './owner.ts'
import { ownInput, type TaskInfo } from './taskInfo.ts'

/** Where the rows of a batch come from. Read during its commit only. */
export function originsOf(batch: Batch, info: TaskInfo): RowOrigins {
  const offsetOf = (item: number): number => {
    const { records, index } = batch.locate(item)
    return records.offset(index)
  }
  return {
    stream: info.stream,
    topic: ownInput(info).source.name,
    streamOf: (owner) => (owner >= 0 ? batch.owners.streamNameOf(owner) : undefined),
    offsetOf: (owner) => offsetOf(itemOf(owner)),
    of(owner): RowOrigin | undefined {
      const members = batch.owners.membersOf(owner)
      if (members.length === 0) return undefined
      return { stream: batch.owners.streamNameOf(owner), offsets: members.map((member) => offsetOf(itemOf(member))) }
    },
    *standing(): Iterable<StandingItem> {
      for (let item = 0; item < batch.taken; item += 1) {
        const offset = offsetOf(item)
        const standsBy: (number | undefined)[] = []
        for (const [index, { name, parent }] of batch.streams.entries()) {
          const owner = standingOwner(batch, item, index, standsBy[parent])
          standsBy.push(owner)
          if (owner !== undefined) yield { owner, stream: name, offset }
        }
      }
    },
  }
}

/** Who stands for an item in a stream: itself, or, where it does not come there, whoever stands in the stream before. */
function standingOwner(batch: Batch, item: number, stream: number, before: number | undefined): number | undefined {
  if (batch.marks.outcomeIn(stream, item) === undefined) return before
  const owner = ownerOf(stream, item)
  return batch.falls.isUndone(owner) ? undefined : owner
}
