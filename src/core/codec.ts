/**
 * A codec turns the bytes of a record's value into a value and back.
 *
 * `decode` is given a range of a larger buffer and must not keep a reference into it: the buffer
 * belongs to the fetch and is released with it. What it throws makes the item collected, so it throws
 * {@link ItemError} with a cause and a position where it can, and it bounds what hostile bytes can cost
 * (size, count, depth) before it allocates.
 */
export interface Codec<T> {
  /** How the codec is named in `describe()` and in errors: `json`, `avro(Flight)`. */
  readonly name: string
  decode(bytes: Buffer, start: number, end: number): T
  encode(value: T): Buffer
}
