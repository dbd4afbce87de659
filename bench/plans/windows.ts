import { count, json, stream, sum, table, topic, tumbling, type WindowOptions } from 'millrace'
import { graceMs, sizeMs, type WindowEvent } from '../windows.ts'
import type { Observed, PlanMaker } from './events.ts'

interface WindowRow {
  readonly account: string
  readonly window_start: Date
  readonly events: number
  readonly cents: number
}

function windows(topicName: string, observed: Observed, emit: NonNullable<WindowOptions<WindowEvent>['emit']>) {
  return stream('bench')
    .from(topic(topicName, json<WindowEvent>()))
    .tap(() => observed.seen())
    .keyBy(({ account }) => account, { sameKey: true })
    .window(tumbling({ milliseconds: sizeMs }), { time: ({ at }) => at, grace: { milliseconds: graceMs }, emit })
    .aggregate({ events: count(), cents: sum(({ cents }) => cents) })
}

const closed = table<WindowRow>('bench_windows')
const now = table<WindowRow>('bench_windows_now', { key: ['account', 'window_start'] })

export const windowPlans: Readonly<Record<string, PlanMaker>> = {
  W2: (topicName, observed) =>
    windows(topicName, observed, 'close').to(closed, ({ key, window, events, cents }) => ({
      account: key,
      window_start: window.start,
      events,
      cents,
    })),
  'W2-update': (topicName, observed) =>
    windows(topicName, observed, 'update').to(now, ({ key, window, events, cents }) => ({
      account: key,
      window_start: window.start,
      events,
      cents,
    })),
}
