/** The batches that Kafka's Java client wrote, and what it reads from them: test/fixtures/record-batches. */
import { readdirSync, readFileSync } from 'node:fs'
import type { PlainRecord } from './_batches.ts'

const folder = new URL('../../fixtures/record-batches/', import.meta.url)

type JavaBytes = string | null | { readonly length: number; readonly javaHash: number }

export interface JavaRecord extends Omit<PlainRecord, 'key' | 'value'> {
  readonly key: JavaBytes
  readonly value: JavaBytes
}

export interface JavaBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly control: boolean
  readonly records: readonly JavaRecord[]
}

export const javaNames = readdirSync(folder)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => name.slice(0, -4))

export function javaBytes(name: string): Buffer {
  return readFileSync(new URL(`${name}.bin`, folder))
}

export function javaBatches(name: string): readonly JavaBatch[] {
  return JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as readonly JavaBatch[]
}

/** A record of ours in the form of the fixtures, where long bytes are a length and a hash. */
export function asJava(record: PlainRecord): JavaRecord {
  return { ...record, key: shortened(record.key), value: shortened(record.value) }
}

function shortened(text: string | null): JavaBytes {
  if (text === null) return null
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length <= 1_000) return text
  let hash = 1
  for (const byte of bytes) hash = (Math.imul(hash, 31) + ((byte << 24) >> 24)) | 0
  return { length: bytes.length, javaHash: hash }
}
