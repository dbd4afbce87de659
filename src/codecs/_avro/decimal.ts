import { malformed } from './malformed.ts'

/** Precision and scale of a decimal, or undefined where the schema gives none that the specification allows. */
export function decimalOf(schema: object): { precision: number; scale: number } | undefined {
  const { precision, scale = 0 } = schema as { precision?: unknown; scale?: unknown }
  if (!isCount(precision) || !isCount(scale) || precision === 0 || scale > precision) return undefined
  return { precision, scale }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Two's complement, big end first, to text: `-12.30`. Text because a number would lose digits, and Postgres takes it as it is. */
export function decimalText(bytes: Buffer, precision: number, scale: number): string {
  if (bytes.length === 0) throw malformed('a decimal has no bytes')
  const unscaled = BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`))
  const magnitude = unscaled < 0n ? -unscaled : unscaled
  // Also bounds the work: printing takes time in the square of the digits.
  if (magnitude >= 10n ** BigInt(precision)) throw malformed(`a decimal has more than ${precision} digits`)
  const digits = magnitude.toString().padStart(scale + 1, '0')
  const point = digits.length - scale
  const text = scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`
  return unscaled < 0n ? `-${text}` : text
}

/** The bytes of a decimal; undefined for what is no decimal of this precision and scale, or does not fit into `size` bytes. */
export function decimalBytes(text: unknown, precision: number, scale: number, size?: number): Buffer | undefined {
  const parts = typeof text === 'string' ? /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) : null
  if (parts === null) return undefined
  const [, sign, whole = '', fraction = ''] = parts
  if (/[1-9]/.test(fraction.slice(scale))) return undefined
  const digits = (whole + fraction.slice(0, scale).padEnd(scale, '0')).replace(/^0+(?=.)/, '')
  if (digits.length > precision) return undefined
  const magnitude = BigInt(digits)
  const unscaled = sign === '-' ? -magnitude : magnitude
  const length = size ?? bytesNeeded(unscaled)
  if (length < bytesNeeded(unscaled)) return undefined
  return Buffer.from(
    BigInt.asUintN(length * 8, unscaled)
      .toString(16)
      .padStart(length * 2, '0'),
    'hex',
  )
}

/** Of two's complement: one bit more than the magnitude has, for the sign. */
function bytesNeeded(value: bigint): number {
  const bits = (value < 0n ? -value - 1n : value).toString(2).length
  return Math.floor(bits / 8) + 1
}
