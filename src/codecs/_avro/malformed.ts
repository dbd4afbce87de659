/** What is wrong with the bytes of a value, thrown while they are read; the codec adds where and prints it. */
export class Malformed extends Error {
  readonly code: string
  /** What to do, where the fault itself tells. */
  readonly fix: string | undefined

  constructor(code: string, message: string, fix?: string) {
    super(message)
    this.code = code
    this.fix = fix
  }
}

export const malformedCode = 'MR-DECODE-AVRO'

export function malformed(message: string): Malformed {
  return new Malformed(malformedCode, message)
}
