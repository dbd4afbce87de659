/** What can be wrong with fetched bytes; {@link batchError} makes the error that is shown of it. */
import { messageOf, type Place, SourceError } from '../../core/errors.ts'
import { OutputTooLarge, PackageMissing } from '../compression/decompressor.ts'

/** Bytes that are no record batch. */
export class MalformedRecords extends Error {
  /** The byte at which it was noticed: of the fetched records, or of a compressed batch's records once unpacked. */
  readonly at: number
  constructor(detail: string, at: number) {
    super(detail)
    this.at = at
  }
}

/** A message set of Kafka before 0.11. */
export class RecordFormatTooOld extends Error {
  readonly magic: number
  constructor(magic: number) {
    super(`message format v${magic}`)
    this.magic = magic
  }
}

interface FailedBatch {
  /** Its offset is the first that cannot be read. */
  readonly place: Place
  readonly packed?: Packed
}

/** How a batch was compressed. */
interface Packed {
  readonly with: string
  readonly bytes: number
  readonly maxUnpackedBytes: number
}

/** The SourceError for whatever was thrown over a batch. */
export function batchError(thrown: unknown, { place, packed }: FailedBatch): SourceError {
  if (thrown instanceof RecordFormatTooOld) return formatTooOld(thrown, place)
  if (thrown instanceof MalformedRecords || packed === undefined) return malformed(thrown, place, 'read')
  if (thrown instanceof PackageMissing) return packageMissing(thrown, place, packed)
  if (thrown instanceof OutputTooLarge) return tooLarge(place, packed)
  return malformed(thrown, place, `unpacked with ${packed.with}`)
}

function malformed(thrown: unknown, place: Place, verb: string): SourceError {
  const where = thrown instanceof MalformedRecords ? ` (byte ${thrown.at})` : ''
  return new SourceError('MR-KAFKA-BATCH-MALFORMED', {
    what: `a record batch cannot be ${verb}: ${messageOf(thrown)}${where}`,
    why: "Its bytes were damaged on the broker's disk or on the way, or its producer wrote them so: kafka-dump-log.sh shows which.",
    fix: 'Restore the segment from a replica, or move past the batch with `millrace progress set`.',
    place,
    cause: thrown,
  })
}

function packageMissing(thrown: PackageMissing, place: Place, packed: Packed): SourceError {
  return new SourceError('MR-KAFKA-CODEC', {
    what: `the topic holds ${packed.with} batches, and the package "${thrown.packageName}" that unpacks them cannot be loaded`,
    why: messageOf(thrown.cause),
    fix: `npm install ${thrown.packageName}`,
    place,
    cause: thrown.cause,
  })
}

function formatTooOld({ magic }: RecordFormatTooOld, place: Place): SourceError {
  return new SourceError('MR-KAFKA-BATCH-FORMAT', {
    what: `the topic holds records in message format v${magic}, from Kafka before 0.11; v2 is what can be read`,
    why: 'The broker setting log.message.format.version, or message.format.version of the topic, was below 0.11 when they were written.',
    fix: 'Raise that setting and copy the topic, or start behind the old records.',
    place,
  })
}

function tooLarge(place: Place, packed: Packed): SourceError {
  return new SourceError('MR-KAFKA-BATCH-SIZE', {
    what: `a ${packed.with} batch of ${packed.bytes} bytes unpacks to more than ${packed.maxUnpackedBytes} bytes`,
    why: 'It compresses unusually well, or was made to exhaust the memory of its readers.',
    fix: 'When it is meant to be that large, raise the Kafka setting "maxUnpackedBytes".',
    place,
  })
}
