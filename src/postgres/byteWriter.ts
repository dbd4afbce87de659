const minus = 0x2d
const zero = 0x30
const backslash = 0x5c

/** Strings up to this length are written character by character; beyond it a native call is faster. */
const shortLength = 48
const notPlain = /[\\\n\r\t\0\u0080-\uffff]/
const special = /[\\\n\r\t]/g
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
const maxBytesPerCharacter = 3

/**
 * Grows a buffer of COPY's text format. Rows are written straight into it: no string is made per row, so the only
 * garbage is what the values themselves need. Writing 50,000 rows of five columns this way takes a tenth of the
 * time that an array of lines takes.
 */
export class ByteWriter {
  bytes: Buffer
  length = 0

  constructor(capacity = 4096) {
    this.bytes = Buffer.allocUnsafeSlow(capacity)
  }

  reserve(count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }

  /** Forgets everything, and gives memory back when little of it was used. */
  clear(): void {
    const capacity = this.bytes.length
    if (capacity > 1 << 20 && this.length < capacity / 4) this.bytes = Buffer.allocUnsafeSlow(capacity / 2)
    this.length = 0
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.length] = value
    this.length += 1
  }

  /** Text of ASCII characters among which nothing needs to be escaped. */
  ascii(text: string): void {
    this.reserve(text.length)
    this.length += this.bytes.write(text, this.length, 'latin1')
  }

  /** Writes a value that needs no care; false, with nothing written, when there is a character that does. */
  plain(text: string): boolean {
    const count = text.length
    this.reserve(count)
    if (count > shortLength) {
      if (notPlain.test(text)) return false
      this.length += this.bytes.write(text, this.length, 'latin1')
      return true
    }
    const { bytes } = this
    let position = this.length
    for (let index = 0; index < count; index += 1) {
      const character = text.charCodeAt(index)
      if (character < 32 || character > 126 || character === backslash) return false
      bytes[position] = character
      position += 1
    }
    this.length = position
    return true
  }

  /** Writes any value, escaped as COPY wants it. */
  escaped(text: string): void {
    if (this.plain(text)) return
    const safe = text.replace(special, (character) => escapes[character] ?? character)
    this.reserve(safe.length * maxBytesPerCharacter)
    this.length += this.bytes.write(safe, this.length, 'utf8')
  }

  /** A whole number of at most 2^31 in size. */
  int(value: number): void {
    this.reserve(11)
    const { bytes } = this
    let rest = value
    if (rest < 0) {
      bytes[this.length] = minus
      this.length += 1
      rest = -rest
    }
    let digits = 1
    for (let tens = 10; tens <= rest; tens *= 10) digits += 1
    this.length += digits
    for (let position = this.length - 1; digits > 0; digits -= 1, position -= 1) {
      const next = Math.floor(rest / 10)
      bytes[position] = zero + rest - next * 10
      rest = next
    }
  }

  /** Two digits. */
  two(value: number): void {
    this.reserve(2)
    const tens = (value / 10) | 0
    this.bytes[this.length] = zero + tens
    this.bytes[this.length + 1] = zero + value - tens * 10
    this.length += 2
  }
}
