/** Options about event time that sources and windows share. */
import type { ItemContext } from '../../src/core/context.ts'
import { type Duration, durationMs } from '../../src/core/duration.ts'
import type { EventTime } from '../../src/core/keyed.ts'
import type { OptionRules } from '../../src/core/options.ts'

export interface EventTimeOptions<V> {
  /** A value's event time, as Date or in milliseconds since the epoch. Default: what its source says, else the time of its record. */
  readonly time?: ((value: V, ctx: ItemContext) => Date | number) | undefined
  /** How much older than the newest one a value may be before time has passed it. Default: none. */
  readonly outOfOrderness?: Duration | undefined
  /** How far ahead of the clock a time may be; an item that is further ahead is collected, and moves nothing. Default: as far as it likes. */
  readonly maxAhead?: Duration | undefined
}

export const eventTimeRules: OptionRules = {
  time: { type: 'function' },
  outOfOrderness: { type: 'object' },
  maxAhead: { type: 'object' },
}

export function eventTimeOf<V>(owner: string, options: EventTimeOptions<V>): EventTime<V> {
  const { time, outOfOrderness, maxAhead } = options
  return {
    of: time,
    outOfOrderMs: outOfOrderness === undefined ? 0 : durationMs(`${owner}: "outOfOrderness"`, outOfOrderness),
    maxAheadMs: maxAhead === undefined ? Number.POSITIVE_INFINITY : durationMs(`${owner}: "maxAhead"`, maxAhead),
  }
}
