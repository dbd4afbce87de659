/** What the headers of zstd frames and blocks say (RFC 8878), read without decoding anything. */
import { MalformedBytes } from './decompressor.ts'

const FRAME_MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const LARGEST_BLOCK = 128 * 1024
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const
const RAW = 0
const REPEATED = 1
const COMPRESSED = 2

interface ZstdScan {
  /** Bytes that decoding gives at most. */
  readonly sizeBound: number
  /** Where the frames that declare a window do so. */
  readonly windows: readonly Window[]
}

interface Window {
  readonly at: number
  readonly size: number
  /** Most bytes that the frame gives: no match reaches further back. */
  readonly content: number
}

/** Reads all frames of a buffer. Throws MalformedBytes when they are none, or cut off. */
export function scanZstd(packed: Buffer): ZstdScan {
  const windows: Window[] = []
  let sizeBound = 0
  let at = 0
  while (at < packed.length) {
    if (at + 8 > packed.length) throw new MalformedBytes(`the zstd data break off at byte ${at}`)
    const magic = packed.readUInt32LE(at)
    if ((magic & 0xfffffff0) === SKIPPABLE_MAGIC) {
      at += 8 + packed.readUInt32LE(at + 4)
      continue
    }
    if (magic !== FRAME_MAGIC) throw new MalformedBytes(`there is no zstd frame at byte ${at}`)
    const frame = scanFrame(packed, at)
    if (frame.window !== undefined) windows.push(frame.window)
    sizeBound += frame.content
    at = frame.end
  }
  return { sizeBound, windows }
}

function scanFrame(packed: Buffer, start: number): { end: number; content: number; window: Window | undefined } {
  const flags = packed.readUInt8(start + 4)
  const single = (flags & 0x20) !== 0
  const windowAt = start + 5
  const dictionaryBytes = DICTIONARY_ID_BYTES[flags & 3] ?? 0
  const sizeCode = flags >> 6
  const sizeBytes = sizeCode === 0 && single ? 1 : (CONTENT_SIZE_BYTES[sizeCode] ?? 0)
  const sizeAt = windowAt + (single ? 0 : 1) + dictionaryBytes
  if (sizeAt + sizeBytes > packed.length) throw new MalformedBytes('the zstd frame header breaks off')
  const declared = sizeBytes === 0 ? undefined : readSize(packed, sizeAt, sizeBytes)
  const windowSize = single ? (declared ?? 0) : readWindow(packed.readUInt8(windowAt))
  const blocks = scanBlocks(packed, sizeAt + sizeBytes, Math.min(LARGEST_BLOCK, windowSize))
  const content = declared ?? blocks.size
  const end = blocks.end + (flags & 0x04 ? 4 : 0)
  return { end, content, window: single ? undefined : { at: windowAt, size: windowSize, content } }
}

function scanBlocks(packed: Buffer, start: number, largest: number): { end: number; size: number } {
  let size = 0
  for (let at = start; at + 3 <= packed.length; ) {
    const header = packed.readUIntLE(at, 3)
    const type = (header >> 1) & 3
    const length = header >> 3
    at += 3 + (type === REPEATED ? 1 : length)
    if (at > packed.length) break
    if (type === RAW || type === REPEATED) size += length
    else if (type === COMPRESSED) size += largest
    else throw new MalformedBytes('a zstd block has a type that does not exist')
    if (header & 1) return { end: at, size }
  }
  throw new MalformedBytes('the zstd frame breaks off')
}

function readSize(packed: Buffer, at: number, bytes: number): number {
  if (bytes === 8) return Number(packed.readBigUInt64LE(at))
  return packed.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0)
}

function readWindow(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}

/**
 * The same frames with windows no larger than their content needs. Java's client declares 2 MiB for every batch, and
 * fzstd allocates the window and moves it once for each block: for a small batch that is four fifths of its time, and a
 * hostile header makes it 2 GiB.
 */
export function shrinkWindows(packed: Buffer): Buffer {
  let copy: Buffer | undefined
  for (const window of scanZstd(packed).windows) {
    const needed = Math.ceil(Math.log2(Math.max(window.content, LARGEST_BLOCK)))
    if (2 ** needed >= window.size) continue
    copy ??= Buffer.from(packed)
    copy.writeUInt8((needed - 10) << 3, window.at)
  }
  return copy ?? packed
}
