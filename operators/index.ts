/** Every operator, one line each. A new one is also a method in src/stream.ts, or in src/keyedStream.ts. */

export {
  Accumulation,
  type Aggregates,
  type Aggregator,
  collect,
  count,
  distinctCount,
  first,
  last,
  max,
  mean,
  min,
  percentile,
  type ResultsOf,
  sum,
  topK,
} from './_shared/aggregators.ts'
export { type EventTimeOptions, eventTimeOf, eventTimeRules } from './_shared/eventTime.ts'
export type { Combine, JoinKind } from './_shared/joins.ts'
export type { Results } from './_shared/results.ts'
export {
  calendarWindow,
  countWindow,
  globalWindow,
  hopping,
  session,
  sliding,
  tumbling,
  type WindowSpec,
} from './_shared/windowSpecs.ts'
export { aggregate } from './aggregate.ts'
export { type BatchOptions, batch } from './batch.ts'
export { type DedupeOptions, dedupe } from './dedupe.ts'
export { filter } from './filter.ts'
export { flatMap } from './flatMap.ts'
export { type JoinLatestOptions, joinLatest, type Latest } from './joinLatest.ts'
export { type JoinTableOptions, joinTable } from './joinTable.ts'
export { type JoinWithinOptions, joinWithin } from './joinWithin.ts'
export { type LookupOptions, lookup } from './lookup.ts'
export { map } from './map.ts'
export { type MapAsyncOptions, mapAsync } from './mapAsync.ts'
export { type Pipe, type PipeClass, type ProcessOptions, process } from './process.ts'
export { type State, type StatefulOptions, stateful } from './stateful.ts'
export { tap } from './tap.ts'
export { type Emit, type Window, type WindowOptions, type WindowResult, windowed } from './window.ts'
