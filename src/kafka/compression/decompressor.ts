/**
 * How the records of a compressed batch are unpacked.
 *
 * A few bytes can declare gigabytes, and the native packages obey: so every decompressor looks at what the bytes
 * declare before it decodes, and none gives more than it was allowed.
 */
export interface Decompressor {
  /** As Kafka's `compression.type` calls it. */
  readonly name: string
  /**
   * Bytes that unpacking gives at most, by what the packed bytes say of themselves; decodes nothing. For gzip it is a
   * claim, which `unpack` holds the bytes to.
   * @throws MalformedBytes when the bytes do not say
   */
  sizeBound(packed: Buffer): number
  /**
   * @throws OutputTooLarge when more than `maxBytes` would come out
   * @throws PackageMissing when the decoder is not installed
   * @throws any other error when the bytes are damaged
   */
  unpack(packed: Buffer, maxBytes: number): Promise<Buffer>
}

/** The packed bytes are not what their format says. */
export class MalformedBytes extends Error {}

/** Unpacking would give more bytes than are allowed. */
export class OutputTooLarge extends Error {}

/** An optional package is needed and not installed. */
export class PackageMissing extends Error {
  readonly packageName: string
  constructor(packageName: string, cause: unknown) {
    super(`the package "${packageName}" cannot be loaded`, { cause })
    this.packageName = packageName
  }
}

/** Loads an optional package at its first use, and tries again when that failed: it may be installed by then. */
export function lazyPackage<T>(packageName: string, load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined
  return () => {
    loading ??= load().catch((cause: unknown) => {
      loading = undefined
      throw new PackageMissing(packageName, cause)
    })
    return loading
  }
}
