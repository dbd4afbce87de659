/** What a value has to look like once it is in a column: written without any of the code that puts it there. */

/** How a column of a type is looked at. Text for all but what has several texts. */
export function seenAs(type: string): string {
  switch (type) {
    case 'timestamptz':
      return 'round(extract(epoch from value) * 1000)::text'
    case 'timestamp':
      return "round(extract(epoch from value at time zone 'UTC') * 1000)::text"
    case 'bytea':
      return "encode(value, 'hex')"
    default:
      return 'value::text'
  }
}

/** Whether what is seen in a column is what was sent; undefined where that is Postgres's business: texts for what is no text. */
export function isAsSent(type: string, sent: unknown, seen: string | null): boolean | undefined {
  if (sent === null || sent === undefined) return seen === null
  if (seen === null) return false
  switch (type) {
    case 'int2':
    case 'int4':
    case 'int8':
      return typeof sent === 'object' ? false : BigInt(seen) === BigInt(String(sent).trim())
    case 'float8':
      return sameNumber(Number(seen), Number(sent))
    case 'float4':
      return sameNumber(Math.fround(Number(seen)), Math.fround(Number(sent)))
    case 'numeric':
      return sameNumber(Number(seen), Number(sent))
    case 'bool':
      return typeof sent === 'boolean' ? seen === String(sent) : undefined
    case 'text':
    case 'varchar(5)':
      return sent instanceof Date ? undefined : seen === String(sent)
    case 'timestamptz':
    case 'timestamp':
      if (sent instanceof Date) return Number(seen) === sent.getTime()
      return typeof sent === 'number' ? Number(seen) === Math.floor(sent) : undefined
    case 'bytea':
      return sent instanceof Uint8Array
        ? seen === Buffer.from(sent.buffer, sent.byteOffset, sent.byteLength).toString('hex')
        : undefined
    case 'json':
    case 'jsonb':
      return sameJson(JSON.parse(seen), JSON.parse(JSON.stringify(sent)))
    case 'uuid':
      return typeof sent === 'string' ? seen === sent.toLowerCase() || undefined : undefined
    default:
      return undefined
  }
}

function sameNumber(one: number, other: number): boolean {
  return one === other || (Number.isNaN(one) && Number.isNaN(other))
}

/** With the order of keys, and the sign of zero, as unimportant as they are to jsonb. */
function sameJson(one: unknown, other: unknown): boolean {
  if (typeof one !== 'object' || one === null || typeof other !== 'object' || other === null) return one === other
  const names = Object.keys(one)
  if (Array.isArray(one) !== Array.isArray(other) || names.length !== Object.keys(other).length) return false
  const [ones, others] = [one as Record<string, unknown>, other as Record<string, unknown>]
  return names.every((name) => Object.hasOwn(others, name) && sameJson(ones[name], others[name]))
}
