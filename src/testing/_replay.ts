/** An input as a short text that can be pasted into a test: it outlives changes to how inputs are drawn. */
import { isDeepStrictEqual } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { SettingsError } from '../core/errors.ts'

/**
 * What inputs look like, so that the text holds little besides their values. It is part of the format: texts that were made
 * with another dictionary cannot be read any more.
 */
const dictionary = Buffer.from(
  [
    '[{"row":{"id":0},"undone":true,"turn":0,"cut":false},',
    '{"items":[{"value":0,"key":"","fate":"ignored in another leaf"},{"value":0,"fate":"throws behind"}],"pick":0,',
    '"items":[{"sample":{"topic":"","fate":"ignored"},{"fate":"thrown"},{"fate":"stands"}],',
    '{"kind":"retention"},{"kind":"rebalance"},{"kind":"abort","partition":0},{"kind":"pass","ms":1},',
    '{"kind":"lose database","at":"claim"},{"kind":"lose database","at":"commit"},{"kind":"lose database"},',
    '{"kind":"join"},{"kind":"freeze"},{"kind":"kill"},{"kind":"kill at commit","after":true},',
    '{"samples":[{"topic":"orders","value":"{\\"id\\":0}","key":null,"place":0},',
    '{"topic":"events","value":"{\\"id\\":0}","key":"a","place":0}],"happenings":[{"kind":"arrive","count":1},',
    '{"kind":"kill at commit","after":false},{"kind":"freeze"}],"partitions":1,"chunk":1,"maxItems":1,"pace":[]}',
  ].join(''),
)

/** @returns undefined for an input that holds what has no bytes, such as a function */
export function encodeReplay(group: string, input: unknown): string | undefined {
  try {
    const plain = withoutNullPrototypes(input)
    const json = JSON.stringify(plain)
    // JSON is short, and the same each time; values that it would change are kept as structured clones.
    const [format, bytes] = isDeepStrictEqual(JSON.parse(json), plain)
      ? ['j', Buffer.from(json)]
      : ['c', serialize(plain)]
    return `${group}:${format}${deflateRawSync(bytes, { level: 9, dictionary }).toString('base64url')}`
  } catch {
    return undefined
  }
}

/** @throws SettingsError MR-TEST-REPLAY */
export function decodeReplay(replay: string): { readonly group: string; readonly input: unknown } {
  const [group = '', text = ''] = replay.split(':')
  try {
    const bytes = inflateRawSync(Buffer.from(text.slice(1), 'base64url'), { dictionary })
    return { group, input: text.startsWith('j') ? JSON.parse(bytes.toString()) : deserialize(bytes) }
  } catch (cause) {
    throw new SettingsError('MR-TEST-REPLAY', {
      what: 'the text given as "replay" cannot be read',
      why: 'It is not whole, or was printed by another version of millrace.',
      fix: 'Run without it, and paste the line that a failure prints.',
      cause,
    })
  }
}

/** fast-check makes objects without a prototype, which no format keeps. */
function withoutNullPrototypes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNullPrototypes)
  if (typeof value !== 'object' || value === null) return value
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutNullPrototypes(inner)]))
}
