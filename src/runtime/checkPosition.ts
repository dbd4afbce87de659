/** Whether what progress says can be true of the log as it is now. */
import { SourceError } from '../core/errors.ts'
import type { AssignedPartition, LogBounds } from '../core/source.ts'
import type { SourceProgress } from '../core/store.ts'
import { otherInput } from './endingInput.ts'
import { fingerprintOf, fingerprintOffset } from './position.ts'

/** Says where the log begins and ends. Progress must lie in it, and the record it was taken from must still be the same one. */
export async function checkPosition(
  partition: AssignedPartition,
  progress: SourceProgress,
  stream: string,
): Promise<LogBounds> {
  const { nextOffset, fingerprint } = progress
  const place = { stream, topic: partition.topic, partition: partition.partition, offset: nextOffset }
  const { start, end } = await partition.bounds()
  const fix = `Look with "millrace progress show", then choose a position with "millrace progress set".`
  if (nextOffset < start) {
    throw new SourceError('MR-SOURCE-GAP', {
      what: `records ${nextOffset} to ${start - 1} are gone: the log begins at ${start}`,
      why: 'Retention deleted them before they were read, or the topic was recreated.',
      fix,
      place,
    })
  }
  if (nextOffset > end) {
    throw new SourceError('MR-SOURCE-BEYOND', {
      what: `progress is at ${nextOffset}, but the log ends at ${end}`,
      why: 'The topic was recreated, or progress belongs to another cluster.',
      fix,
      place,
    })
  }
  if (fingerprint === null) return { start, end }
  const last = await partition.recordAt(fingerprintOffset(fingerprint))
  if (partition.ends) {
    if (last !== undefined && fingerprintOf(last, 0) === fingerprint) return { start, end }
    throw otherInput(stream, last, fingerprintOffset(fingerprint), partition.topic)
  }
  if (last !== undefined && last.size > 0 && fingerprintOf(last, 0) !== fingerprint) {
    throw new SourceError('MR-SOURCE-RECREATED', {
      what: `record ${fingerprintOffset(fingerprint)} is not the one that was taken from there`,
      why: 'The topic was deleted and made again: its offsets mean other records now.',
      fix,
      place,
    })
  }
  return { start, end }
}
