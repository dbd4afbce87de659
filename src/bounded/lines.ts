import type { Codec } from '../core/codec.ts'
import { PlanError } from '../core/errors.ts'
import { isCharacters, type OptionRules, shown, validateOptions } from '../core/options.ts'
import type { BoundedSource } from '../core/source.ts'

export interface LinesOptions {
  /** What the file is called in errors and progress. Default: the path as it is given. */
  readonly name?: string
  /** What lines without a character do: `skip` drops them and counts them as filtered, `pass` hands them to the codec. Default `skip`. */
  readonly emptyLines?: 'skip' | 'pass'
  /** Bytes of a line at most; a longer one fails the run. Default 16 MiB. */
  readonly maxLineBytes?: number
}

const rules: OptionRules = {
  name: { type: 'string' },
  emptyLines: { type: 'choice', of: ['skip', 'pass'] },
  maxLineBytes: { type: 'number', min: 1 },
}

/**
 * Names a file that holds one value on each line, for `from()`. Opens nothing.
 *
 * @example
 * stream('import').from(lines('flights.jsonl', json<Flight>())).to(table<Flight>('flights'))
 *
 * A line ends with LF or CRLF, the last one also with the file; a byte order mark at the beginning is passed over. A line that the codec
 * cannot decode is collected like any bad record, also for bytes that are not UTF-8. Its offset is its number, from 0.
 *
 * @param path from the working directory of the process, unless it is absolute
 * @param codec decodes a line: `json()`, `text()`, `bytes()`
 * @param options `name` (the path) · `emptyLines`: `'skip'` or `'pass'` ('skip') · `maxLineBytes` (16 MiB)
 * @throws PlanError MR-PLAN-OPTION
 */
export function lines<T>(path: string, codec: Codec<T>, options: LinesOptions = {}): BoundedSource<T> {
  if (typeof path !== 'string' || path === '' || !isCharacters(path)) {
    throw new PlanError('MR-PLAN-OPTION', { what: `lines() needs the path of a file, but was given ${shown(path)}` })
  }
  if (typeof codec?.decode !== 'function') {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `lines("${path}") needs a codec, but was given ${shown(codec)}`,
      fix: 'Say how a line is decoded: lines(path, json<Row>()), or text() for the line itself.',
    })
  }
  validateOptions(`lines("${path}")`, options, rules)
  const { name = path, emptyLines = 'skip', maxLineBytes = 16 * 2 ** 20 } = options
  return Object.freeze({
    kind: 'bounded',
    name,
    codec,
    tombstones: 'skip',
    detail: `lines of ${path}, ${codec.name}`,
    input: Object.freeze({ kind: 'lines', path, maxLineBytes, emptyLines }),
  })
}
