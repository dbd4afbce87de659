/** What errors show of a value's bytes: short, on one line, and without control characters. */

const textLength = 60
const hexLength = 16

/** `"{\"date\":…"`: the beginning of a text, quoted and escaped. */
export function textExcerpt(text: string, from = 0): string {
  const part = text.slice(from, from + textLength)
  return `${from > 0 ? '…' : ''}${JSON.stringify(part)}${from + textLength < text.length ? '…' : ''}`
}

/** `00 00 00 00 07 …`: the first bytes of a range. */
export function hexExcerpt(bytes: Buffer, start: number, end: number): string {
  const shown = Math.min(end, start + hexLength)
  const hex = bytes.toString('hex', start, shown).replace(/..(?=.)/g, '$& ')
  return shown < end ? `${hex} …` : hex
}

/** Another library's message as one line of ours: no control characters, no full stop, at most 200 characters. */
export function oneLine(message: string): string {
  const printable = message.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').replace(/[.\s]+$/, '')
  return printable.length > 200 ? `${printable.slice(0, 199)}…` : printable
}
