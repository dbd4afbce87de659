import type { RecordChunk } from '../core/record.ts'

/** Reads an input from its beginning to its end, once. One call at a time. */
export interface BoundedReader {
  /** How many items there are, where that is known beforehand. */
  readonly size: number | undefined
  /** Whether nothing more comes, as far as that is known. */
  readonly ended: boolean
  /** What comes next: at least one item and at most as many as asked for; undefined at the end. */
  read(atMost: number): Promise<RecordChunk | undefined>
  /** Lets go of what is open, also while a read is under way, and never rejects. */
  close(): Promise<void>
}
