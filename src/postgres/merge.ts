/** Merging the rows of a batch that share a key, by the rules that the database would apply one row after the other. */
import type { ConflictRule } from '../core/sink.ts'
import type { TypeKind } from './columnType.ts'

/** A converted value. Numbers only where the column is an integer or a float; undefined where the row leaves it out. */
export type Cell = string | number | null | undefined

/** Puts a later cell into an earlier one. */
export type MergeCells = (earlier: Cell, later: Cell) => Cell

const floats: readonly TypeKind[] = ['float4', 'float8']
const integers: readonly TypeKind[] = ['int2', 'int4', 'int8']

/**
 * How two cells of a column become one, so that upserting the result is the same as upserting both.
 *
 * @returns undefined where only the database can tell: how texts sort is known to it alone
 */
export function mergeRule(rule: ConflictRule | 'key', kind: TypeKind): MergeCells | undefined {
  switch (rule) {
    case 'key':
    case 'keep':
      return (earlier) => earlier
    case 'replace':
      return (_, later) => later
    case 'add':
      if (floats.includes(kind)) return withoutNull((earlier, later) => Number(earlier) + Number(later))
      if (integers.includes(kind)) return withoutNull(addIntegers)
      return kind === 'numeric'
        ? withoutNull((earlier, later) => addDecimals(String(earlier), String(later)))
        : undefined
    case 'min':
    case 'max': {
      const compare = comparison(kind)
      if (compare === undefined) return undefined
      const sign = rule === 'min' ? 1 : -1
      return withoutNull((earlier, later) => (compare(earlier, later) * sign <= 0 ? earlier : later))
    }
  }
}

// SQL has the same: coalesce(a + b, a, b), and least() and greatest() pass nulls over.
function withoutNull(merge: (earlier: string | number, later: string | number) => Cell): MergeCells {
  return (earlier, later) => {
    if (earlier === null || earlier === undefined) return later
    return later === null || later === undefined ? earlier : merge(earlier, later)
  }
}

function addIntegers(earlier: string | number, later: string | number): Cell {
  if (typeof earlier === 'number' && typeof later === 'number') {
    const sum = earlier + later
    if (Number.isSafeInteger(sum)) return sum
  }
  return String(BigInt(earlier) + BigInt(later))
}

function comparison(kind: TypeKind): ((a: string | number, b: string | number) => number) | undefined {
  if (floats.includes(kind)) return (a, b) => compareFloats(Number(a), Number(b))
  if (integers.includes(kind)) {
    return (a, b) => {
      if (typeof a === 'number' && typeof b === 'number') return a - b
      const difference = BigInt(a) - BigInt(b)
      return difference < 0n ? -1 : difference > 0n ? 1 : 0
    }
  }
  return kind === 'numeric' ? (a, b) => compareDecimals(String(a), String(b)) : undefined
}

// To Postgres, NaN is above everything else.
function compareFloats(a: number, b: number): number {
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1
  return Number.isNaN(b) ? -1 : a - b
}

/** A finite decimal as digits and the number of them behind the point. */
interface Decimal {
  readonly digits: bigint
  readonly scale: number
}

function parseDecimal(text: string): Decimal {
  const [, sign = '', before = '', after = '', exponent = '0'] =
    /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(text) ?? []
  const scale = after.length - Number(exponent)
  const digits = BigInt(`${before}${after}` || '0') * (sign === '-' ? -1n : 1n)
  return scale < 0 ? { digits: digits * 10n ** BigInt(-scale), scale: 0 } : { digits, scale }
}

function toScale({ digits, scale }: Decimal, wanted: number): bigint {
  return digits * 10n ** BigInt(wanted - scale)
}

/** The exact sum of two finite decimals. */
export function addDecimals(a: string, b: string): string {
  const left = parseDecimal(a)
  const right = parseDecimal(b)
  const scale = Math.max(left.scale, right.scale)
  const sum = toScale(left, scale) + toScale(right, scale)
  if (scale === 0) return String(sum)
  const digits = String(sum < 0n ? -sum : sum).padStart(scale + 1, '0')
  return `${sum < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

function compareDecimals(a: string, b: string): number {
  const left = parseDecimal(a)
  const right = parseDecimal(b)
  const scale = Math.max(left.scale, right.scale)
  const difference = toScale(left, scale) - toScale(right, scale)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}
