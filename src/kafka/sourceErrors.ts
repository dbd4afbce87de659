/** Errors that every source client raises alike, whatever it is a client of. Imports no client. */
import { SourceError } from '../core/errors.ts'
import { nearest } from '../core/options.ts'
import type { LogBounds, TopicPartition } from '../core/source.ts'

/** A position that the log does not hold. */
export function offsetGap(of: TopicPartition, offset: number, { start, end }: LogBounds): SourceError {
  const before = offset < start
  return new SourceError('MR-KAFKA-OFFSET-GAP', {
    what: before
      ? `${start - offset} positions that were to be read are no longer in the log: it begins at ${start}`
      : `the position to read from lies ${offset - end} beyond the end of the log, which is ${end}`,
    why: before
      ? "The topic's retention removed them before they were read, or the topic was created anew."
      : 'The topic was created anew, or records were lost when a broker failed.',
    fix: `Decide where to go on and say so: millrace progress set (the log holds ${start} to ${end}).`,
    place: { ...of, offset },
  })
}

/** A topic that the plan names and that does not exist. */
export function missingTopic(topic: string, existing: readonly string[]): SourceError {
  const near = nearest(topic, existing)
  const some = [...existing].sort().slice(0, 10).join(', ')
  return new SourceError('MR-KAFKA-TOPIC-MISSING', {
    what: `the topic "${topic}" does not exist`,
    why:
      near === undefined
        ? `Kafka has ${existing.length === 0 ? 'no topics' : `${existing.length} topics: ${some}${existing.length > 10 ? ', …' : ''}`}.`
        : `There is a topic "${near}".`,
    fix: 'Create it, or correct its name in the plan. Topics are never created by reading.',
    place: { topic },
  })
}
