/**
 * Two things that JSON.parse lets through and nobody wants: keys named `__proto__`, and nesting without an end.
 * Ordinary values must pay next to nothing, so the value itself is walked only when its text gives a reason to.
 */

/** Whether an object in the value has a key of its own named `__proto__`. */
export function hasProtoKey(text: string, value: unknown): boolean {
  // Without a brace behind the first character the value holds no object but itself.
  if (text.indexOf('{', 1) === -1) return hasOwnProto(value)
  // The name is in the text as it is, or behind an escape of an ASCII character.
  return (text.indexOf('__proto__') !== -1 || text.indexOf('\\u00') !== -1) && hasProtoInside(value)
}

function hasOwnProto(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  // A key of its own hides the getter. Reading costs a third of hasOwn, which then only looks at arrays.
  // biome-ignore lint/suspicious/noProto: whether it is hidden is the question
  return (value as { __proto__: unknown }).__proto__ !== Object.prototype && Object.hasOwn(value, '__proto__')
}

function hasProtoInside(root: unknown): boolean {
  // A list instead of recursion: with a raised cap on depth, the stack would overflow here.
  const pending: unknown[] = [root]
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value !== 'object' || value === null) continue
    if (hasOwnProto(value)) return true
    for (const inner of Object.values(value)) if (typeof inner === 'object') pending.push(inner)
  }
  return false
}

/** Whether JSON is nested deeper than `maxDepth` levels. */
export function isDeeperThan(text: string, maxDepth: number): boolean {
  // A level takes two characters, so ordinary values are not looked at.
  if (text.length <= 2 * maxDepth) return false
  return brackets(text, maxDepth) > maxDepth && depth(text) > maxDepth
}

/** The number of opening brackets, counted up to `enough`. Nearly always few, and native search finds them fast. */
function brackets(text: string, enough: number): number {
  let count = 0
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at !== -1 && count <= enough; at = text.indexOf(bracket, at + 1)) count++
  }
  return count
}

/** The number of levels; brackets inside strings do not count. */
function depth(text: string): number {
  let level = 0
  let deepest = 0
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '"') at = closingQuote(text, at)
    else if (char === '[' || char === '{') deepest = Math.max(deepest, ++level)
    else if (char === ']' || char === '}') level--
  }
  return deepest
}

function closingQuote(text: string, opening: number): number {
  let at = opening + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}
