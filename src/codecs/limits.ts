/** What a hostile value may cost. The defaults are far above honest values and far below what hurts. */
import { ItemError } from '../core/errors.ts'

/** In bytes of one value: 16 MiB. */
export const defaultMaxBytes = 16 * 1024 * 1024

/** In levels. JSON.stringify overflows the stack at 3,000 to 5,000 levels, and so do callbacks that recurse. */
export const defaultMaxDepth = 1_000

/** In array items and map entries of one value, at all levels together. An Avro array of nulls has no bytes for its items. */
export const defaultMaxItems = 1_000_000

export function tooLarge(codec: string, size: number, maxBytes: number): ItemError {
  return new ItemError('MR-DECODE-SIZE', {
    what: `the value of ${size} bytes is larger than ${codec} takes`,
    why: `It takes at most ${maxBytes} bytes, so that one value cannot exhaust the memory.`,
    fix: `If such values are right, raise the cap: { maxBytes: ${size} }.`,
  })
}

export function tooDeep(maxDepth: number): ItemError {
  return new ItemError('MR-DECODE-DEPTH', {
    what: `the value is nested deeper than ${maxDepth} levels`,
    why: 'Whatever walks such a value by recursion overflows the stack.',
    fix: 'If such values are right, raise the cap: { maxDepth: … }.',
  })
}

export function protoKey(): ItemError {
  return new ItemError('MR-DECODE-PROTO', {
    what: 'the value has a key "__proto__"',
    why: 'Copied by Object.assign or a deep merge, it would replace the prototype of the copy.',
    fix: 'No honest producer writes it; look at where the record comes from.',
  })
}
