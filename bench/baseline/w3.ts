/** W3 by hand: parse JSON, drop the pings, map, count. */
import type { BenchEvent } from '../events.ts'
import type { Lane } from './consumer.ts'

export function createW3Lane(): Lane {
  let counted = 0
  const count = (_mapped: object) => {
    counted++
  }
  return {
    get counted() {
      return counted
    },
    take(messages) {
      for (const { value } of messages) {
        if (value === null) continue
        const event = JSON.parse(value.toString()) as BenchEvent
        if (event.kind === 'ping') continue
        count({ id: event.id, account: event.account, cents: Math.round(event.amount * 100) })
      }
      return undefined
    },
  }
}
