/** An input as a short text that can be pasted into a test: it outlives changes to how inputs are drawn. */
import { deserialize, serialize } from 'node:v8'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { SettingsError } from '../core/errors.ts'

/**
 * What stories consist of, so that the text holds little besides their values. It is part of the format: texts that were
 * made with another dictionary cannot be read any more.
 */
const dictionary = Buffer.from(
  [
    ...['kill', 'freeze', 'join', 'lose database', 'pass', 'ms', 'rebalance', 'retention', 'doomed', 'value', 'fate'],
    ...['items', 'stands', 'row', 'undone', 'turn', 'cut', 'pace', 'topic', '{"id":0}', 'place', 'key', 'samples'],
    ...['partitions', 'chunk', 'maxItems', 'happenings', 'after', 'kill at commit', 'count', 'kind', 'arrive'],
  ]
    .map((name) => `"${String.fromCharCode(name.length)}${name}`)
    .join(''),
)

/** @returns undefined for an input that holds what has no bytes, such as a function */
export function encodeReplay(group: string, input: unknown): string | undefined {
  try {
    return `${group}:${deflateRawSync(serialize(input), { level: 9, dictionary }).toString('base64url')}`
  } catch {
    return undefined
  }
}

/** @throws SettingsError MR-TEST-REPLAY */
export function decodeReplay(replay: string): { readonly group: string; readonly input: unknown } {
  const [group = '', text = ''] = replay.split(':')
  try {
    return { group, input: deserialize(inflateRawSync(Buffer.from(text, 'base64url'), { dictionary })) }
  } catch (cause) {
    throw new SettingsError('MR-TEST-REPLAY', {
      what: 'the text given as "replay" cannot be read',
      why: 'It is not whole, or was printed by another version of millrace.',
      fix: 'Run without it, and paste the line that a failure prints.',
      cause,
    })
  }
}
