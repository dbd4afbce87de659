/** What errors have in common: those of one kind are listed, replayed and ignored together. */
import { createHash } from 'node:crypto'
import type { CollectedItem } from './store.ts'

/** Parts of a message that differ from one item to the next, the longer forms before those that are part of them. */
const parts: readonly (readonly [pattern: RegExp, placeholder: string])[] = [
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi, '<uuid>'],
  [/\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?/g, '<date>'],
  [/"(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*'|`[^`]*`/g, '<text>'],
  [/(?<![\w.-])(?:[\w.-]*\/){2,}[\w.-]*/g, '<path>'],
  // A number may be the digits of a hash, or the other way round: they are one.
  [/[+-]?\b(?:0x[0-9a-f]+\b|\d+(?:\.\d+)?(?:e[+-]?\d+)?\b|(?=[a-f]*\d)[0-9a-f]{8,}\b|\d+(?:\.\d+)?)/gi, '<n>'],
]

/** Characters of a message that are looked at, and those that count of what is left: what comes behind is as a rule the item's own. */
const maxLength = { message: 2_000, normalised: 500 } as const

/** A message without what is one item's own. */
export function normalisedMessage(message: string): string {
  const cut = message.slice(0, maxLength.message)
  return parts
    .reduce((text, [pattern, placeholder]) => text.replace(pattern, placeholder), cut)
    .slice(0, maxLength.normalised)
}

/** 16 hexadecimal digits that are the same for errors of one step, class and message. */
export function fingerprint(step: string, { name, message }: Pick<CollectedItem['error'], 'name' | 'message'>): string {
  return createHash('sha1')
    .update(JSON.stringify([step, name, normalisedMessage(message)]))
    .digest('hex')
    .slice(0, 16)
}

/** A stack holds the message, too, which may be anything: time for it is bounded. */
const maxStack = 20_000
const maxLine = 1_000

/** The first place of a stack that is in the user's own code: `src/flights.ts:12:5`, as it stands in the stack. */
export function userLine(stack: string | null): string | null {
  if (stack === null) return null
  for (const line of stack.slice(0, maxStack).split('\n')) {
    if (line.length > maxLine) continue
    const [, place] = /^\s*at (?:.*\()?(.*?:\d+:\d+)\)?$/.exec(line) ?? []
    if (place !== undefined && !isForeign(place)) return place.replace(/^file:\/\//, '')
  }
  return null
}

const ownFolder = new URL('../../', import.meta.url).pathname

/** Whether a place is in Node, a package, or millrace itself. */
function isForeign(place: string): boolean {
  const path = place.replace(/^file:\/\//, '')
  if (/^node:|[/\\]node_modules[/\\]/.test(path)) return true
  return ['src/', 'operators/', 'sinks/'].some((folder) => path.startsWith(`${ownFolder}${folder}`))
}
