import { count, json, stream, sum, topic } from 'millrace'
import type { KeyedEvent } from '../states.ts'
import type { PlanMaker } from './events.ts'

export const statePlans: Readonly<Record<string, PlanMaker>> = {
  'state-keys': (topicName, observed) =>
    stream('bench')
      .from(topic(topicName, json<KeyedEvent>()))
      .tap(() => observed.seen())
      .keyBy(({ account }) => account, { sameKey: true })
      .aggregate({ events: count(), cents: sum(({ cents }) => cents) }),
}
