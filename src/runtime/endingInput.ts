/** What can go wrong with an input that ends, as its task finds it. */
import { SettingsError, SourceError } from '../core/errors.ts'
import { shown } from '../core/options.ts'
import type { RecordChunk } from '../core/record.ts'
import type { Batch } from './batch.ts'
import type { TaskInfo } from './taskInfo.ts'

/** More than one transaction is meant to take. */
export function tooMuchForOneBatch(info: TaskInfo, batch: Batch, maxBytes: number): SettingsError {
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
  const items = `${batch.size} items (${mebibytes(batch.byteSize)}) that write ${mebibytes(batch.writeSet.byteSize)}`
  return new SettingsError('MR-RUN-SIZE', {
    what: `${items} are more than one transaction takes in memory`,
    why: `The bound is maxBytes, ${mebibytes(maxBytes)}. ${
      info.isWhole
        ? 'A run is one transaction unless it is told otherwise, and nothing is cut in silence.'
        : 'It holds for the items of commit.maxItems, too.'
    }`,
    fix: info.isWhole
      ? 'Say commit: { maxItems: … } to commit that many items at a time (docs/bounded.md says what this changes), or raise maxBytes.'
      : 'Lower commit.maxItems, or raise maxBytes.',
    place: { stream: info.stream },
  })
}

/** The input does not begin as the one that progress is of. */
export function otherInput(stream: string, found: RecordChunk | undefined, offset: number, topic: string): SourceError {
  const place = { stream, topic, partition: 0, offset }
  const why = 'A run of a name goes on where the last one of it stopped, so the input has to come in the same order.'
  const fix = 'Give the run another name to begin anew, or forget what was done with "millrace progress reset".'
  if (found === undefined) {
    return new SourceError('MR-RUN-SHORTER', {
      what: `the input ends before item ${offset}, up to which an earlier run of this name has come`,
      why,
      fix,
      place,
    })
  }
  return new SourceError('MR-RUN-OTHER-INPUT', {
    what: `item ${offset} is not the one that an earlier run of this name has taken last: it is now ${shown(found.value(0)?.toString() ?? null)}`,
    why: `${why} A callback that changes the values it is given looks the same.`,
    fix,
    place,
  })
}
