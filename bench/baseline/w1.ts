/** W1 by hand: parse JSON, drop the pings, map, COPY. In `W1-ignore` one row in a hundred is dropped again after it was made. */
import { type BenchEvent, isIgnored } from '../events.ts'
import type { Lane } from './consumer.ts'
import { copyField, copyText } from './copy.ts'

const into = 'bench_events (id, account, kind, cents, country, at)'

export function createW1Lane(): Lane {
  return {
    counted: 0,
    take(messages) {
      let text = ''
      for (const { value } of messages) {
        if (value === null) continue
        const event = JSON.parse(value.toString()) as BenchEvent
        if (event.kind === 'ping') continue
        text += rowText(event)
      }
      return text === '' ? undefined : (client) => copyText(client, into, text)
    },
  }
}

export function createW1IgnoreLane(): Lane {
  return {
    counted: 0,
    take(messages) {
      const rows: string[] = []
      for (const { value } of messages) {
        if (value === null) continue
        const event = JSON.parse(value.toString()) as BenchEvent
        if (event.kind === 'ping') continue
        rows.push(rowText(event))
        if (isIgnored(event.id)) rows.pop()
      }
      return rows.length === 0 ? undefined : (client) => copyText(client, into, rows.join(''))
    },
  }
}

function rowText({ id, account, kind, amount, country, at }: BenchEvent): string {
  const cents = Math.round(amount * 100)
  return `${id}\t${copyField(account)}\t${copyField(kind)}\t${cents}\t${copyField(country)}\t${copyField(at)}\n`
}
