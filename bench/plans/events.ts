/** The plans that the benchmark measures: what a user of millrace would write. */
import { json, type Stream, signal, stream, table, topic } from 'millrace'
import { outputOf } from '../emits.ts'
import { type BenchEvent, isIgnored } from '../events.ts'

export interface EventRow {
  readonly id: number
  readonly account: string
  readonly kind: string
  readonly cents: number
  readonly country: string
  readonly at: string
}

export const eventsTable = table<EventRow>('bench_events')

/** What a plan tells of its run. */
export interface Observed {
  /** Called for each record that reaches the plan's first step. */
  seen(): void
  /** Records that W3 counted. */
  counted: number
}

export type PlanMaker = (topicName: string, observed: Observed) => Stream<unknown>

/** W1: parse JSON, drop the pings, map, insert. */
const w1: PlanMaker = (topicName, observed) => rows(topicName, observed).to(eventsTable)

/** W1 with one item in a hundred undone after it wrote. */
const w1Ignore: PlanMaker = (topicName, observed) =>
  rows(topicName, observed)
    .to(eventsTable)
    .tap(({ id }) => {
      if (isIgnored(id)) signal.ignore('one in a hundred')
    })

/** W3: parse JSON, drop the pings, map, count. */
const w3: PlanMaker = (topicName, observed) =>
  events(topicName, observed)
    .map(({ id, account, amount }) => ({ id, account, cents: Math.round(amount * 100) }))
    .tap(() => {
      observed.counted++
    })

/** W1 into a topic. */
const w1Emit: PlanMaker = (topicName, observed) =>
  rows(topicName, observed).to(topic(outputOf(topicName), json<EventRow>(), { key: ({ account }) => account }))

export const plans: Readonly<Record<string, PlanMaker>> = {
  W1: w1,
  'W1-emit': w1Emit,
  'W1-ignore': w1Ignore,
  W3: w3,
  latency: w1,
}

function events(topicName: string, observed: Observed): Stream<BenchEvent> {
  return stream('bench')
    .from(topic(topicName, json<BenchEvent>()))
    .filter((event) => {
      observed.seen()
      return event.kind !== 'ping'
    })
}

/** The events that are no pings, as rows. */
export function rows(topicName: string, observed: Observed): Stream<EventRow> {
  return events(topicName, observed).map(({ id, account, kind, amount, country, at }) => ({
    id,
    account,
    kind,
    cents: Math.round(amount * 100),
    country,
    at,
  }))
}
