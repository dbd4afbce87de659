/** Two topics in the memory of a broker, full before anybody reads them, and the order in which a task that joins them has to read them. */
import fc from 'fast-check'
import { json, topic } from '../../src/index.ts'
import type { Service } from './_service.ts'

export type Side = 'left' | 'right'

export interface Said {
  readonly side: Side
  /** Its place in its topic. */
  readonly n: number
  readonly key: string
}

export interface Read extends Said {
  readonly time: number
}

export const topics = { left: topic('left', json<Said>()), right: topic('right', json<Said>()) }

export interface Logged {
  readonly key: string
  /** Milliseconds behind the record before; below 0 for one that is out of order. */
  readonly after: number
  /** Offsets that hold no record, before it. */
  readonly gap: number
}

export type Logs = Readonly<Record<Side, readonly Logged[]>>

/** A log of records of some keys. */
export const logOf = (keys: readonly string[], after: fc.Arbitrary<number>) =>
  fc.array(
    fc.record({
      key: fc.constantFrom(...keys),
      after,
      gap: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(3)),
    }),
    { maxLength: 25 },
  )

function timed(logs: Logs, side: Side): Read[] {
  let time = 100
  return logs[side].map(({ key, after }, n) => {
    time += after
    return { side, n, key, time }
  })
}

/** The earlier one of the two records that come next, at equal times the left one. */
export function merged(logs: Logs): Read[] {
  const [left, right] = [timed(logs, 'left'), timed(logs, 'right')]
  const order: Read[] = []
  for (let l = 0, r = 0; l < left.length || r < right.length; ) {
    const [nextLeft, nextRight] = [left[l], right[r]]
    const takesLeft = nextRight === undefined || (nextLeft !== undefined && nextLeft.time <= nextRight.time)
    order.push((takesLeft ? left[l++] : right[r++]) as Read)
  }
  return order
}

export function recordOf({ side, n, key, time }: Read) {
  return { key: Buffer.from(key), value: Buffer.from(JSON.stringify({ side, n, key })), timestamp: time }
}

export function fill(service: Service, logs: Logs): void {
  for (const side of ['left', 'right'] as const) {
    service.broker.createTopic(side, 1)
    for (const read of timed(logs, side)) {
      const { gap = 0 } = logs[side][read.n] ?? {}
      if (gap > 0) service.broker.skip(side, 0, gap)
      service.broker.append(side, 0, recordOf(read))
    }
  }
}
