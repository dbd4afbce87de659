/**
 * What others wrote, as a terminal may show it. It may hold anything: control characters would move the cursor, clear the
 * screen or set the window's title.
 */
import { isUtf8 } from 'node:buffer'

/** All but newline and tab of what a terminal acts upon; the marks that turn the direction of writing too. */
const acting = /[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** A text of several lines without characters that a terminal acts upon. */
export function textOf(text: string): string {
  return text.replace(acting, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A text as one line of at most so many characters. */
export function lineOf(text: string, maxLength: number): string {
  const line = textOf(
    text
      .slice(0, maxLength * 2)
      .replace(/\s+/g, ' ')
      .trim(),
  )
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line
}

/** A key as it is written behind `--key`: its text, or `\x` and hexadecimal digits. */
export function keyText(key: Buffer | null): string {
  if (key === null) return ''
  const text = isUtf8(key) ? key.toString() : undefined
  return text === undefined || textOf(text) !== text || /[\n\t]|^\\x/.test(text) ? `\\x${key.toString('hex')}` : text
}

/** The opposite of {@link keyText}. */
export function keyBytes(text: string): Buffer {
  return /^\\x([0-9a-f]{2})*$/i.test(text) ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text)
}

/** Bytes as somebody would want to see them, with what they are taken for. */
export function bytesAsSeen(bytes: Buffer): { readonly kind: 'JSON' | 'text' | 'bytes'; readonly text: string } {
  if (!isUtf8(bytes) || hasControls(bytes)) return { kind: 'bytes', text: hexDump(bytes) }
  const text = bytes.toString()
  // As it is: printed anew, it would lose digits of long numbers.
  return { kind: isJson(text) ? 'JSON' : 'text', text: textOf(text) }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** For JSON: a text where the bytes are one, else base64. */
export function bytesAsJson(bytes: Buffer | null): { readonly text: string } | { readonly base64: string } | null {
  if (bytes === null) return null
  return isUtf8(bytes) ? { text: bytes.toString() } : { base64: bytes.toString('base64') }
}

function hasControls(bytes: Buffer): boolean {
  return bytes.some((byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)
}

const dumpedBytes = 512

/** `00000000  00 01 02 …  ...`: 16 bytes a line. */
function hexDump(bytes: Buffer): string {
  const lines: string[] = []
  for (let at = 0; at < Math.min(bytes.length, dumpedBytes); at += 16) {
    const part = bytes.subarray(at, Math.min(at + 16, dumpedBytes))
    const hex = part.toString('hex').replace(/..(?=.)/g, '$& ')
    lines.push(
      `${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${part.toString('latin1').replace(/[^ -~]/g, '.')}`,
    )
  }
  if (bytes.length > dumpedBytes) lines.push(`… ${bytes.length - dumpedBytes} bytes more`)
  return lines.join('\n')
}
