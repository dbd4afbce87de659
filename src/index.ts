/** millrace: Kafka in, Postgres out, exactly once, and every item can be undone on its own. */
export {
  type Aggregates,
  type Aggregator,
  type BatchOptions,
  calendarWindow,
  collect,
  count,
  countWindow,
  type DedupeOptions,
  distinctCount,
  type Emit,
  type EventTimeOptions,
  first,
  globalWindow,
  hopping,
  type JoinKind,
  type JoinLatestOptions,
  type JoinTableOptions,
  type JoinWithinOptions,
  type Latest,
  type LookupOptions,
  last,
  type MapAsyncOptions,
  max,
  mean,
  min,
  type Pipe,
  type PipeClass,
  type ProcessOptions,
  percentile,
  type ResultsOf,
  type State,
  type StatefulOptions,
  session,
  sliding,
  sum,
  topK,
  tumbling,
  type Window,
  type WindowOptions,
  type WindowResult,
  type WindowSpec,
} from '../operators/index.ts'
export { type TableOptions, table } from '../sinks/index.ts'
export {
  type FromOptions,
  type LinesOptions,
  type LookupQueryOptions,
  lines,
  type Query,
  type QueryOptions,
  query,
} from './bounded/index.ts'
export * from './codecs/index.ts'
export type { Codec } from './core/codec.ts'
export type { AsyncItemContext, GroupTrigger, ItemContext, ProcessContext, RunContext } from './core/context.ts'
export type { EmitKey, EmitOptions, TombstoneOptions } from './core/emit.ts'
export {
  type ErrorBudget,
  type ErrorPolicyOptions,
  type RetryOptions,
  type RetryPolicy,
  retry,
} from './core/errorPolicy.ts'
export {
  FenceLostError,
  HaltedError,
  InternalError,
  ItemError,
  MillraceError,
  type Place,
  PlanError,
  SettingsError,
  SourceError,
  StoreError,
  UnavailableError,
} from './core/errors.ts'
export type { Logger } from './core/logger.ts'
export type { LookupKey, LookupQuery } from './core/lookup.ts'
export {
  type AsyncOperator,
  type AsyncStep,
  defineAsyncOperator,
  defineOperator,
  type Entries,
  type FlushHooks,
  type Next,
  type Operator,
  type Step,
  type SyncOperator,
} from './core/operator.ts'
export type { OutcomeCounts, OutcomeName } from './core/outcome.ts'
export type { RecordView } from './core/record.ts'
export { type BreakOptions, signal } from './core/signal.ts'
export type { ConflictRule, OnConflict, Sink } from './core/sink.ts'
export { type Scope, type Slot, slot } from './core/slot.ts'
export type { BoundedSource, TopicSource } from './core/source.ts'
export { EmittedSequences, type HeadersOfRecord } from './emittedSequences.ts'
export { KeyedStream, type Reduced, WindowedStream } from './keyedStream.ts'
export { type EvaluateOptions, type Evaluation, evaluate } from './service/evaluate.ts'
export {
  type CollectedNote,
  type RunReport,
  type RunSettings,
  run,
  type StreamReport,
  type StreamStop,
} from './service/run.ts'
export {
  type App,
  type AppStats,
  BrokenOffError,
  type KafkaConnection,
  type PartitionStats,
  type PostgresConnection,
  StalledError,
  type StartSettings,
  StoppedError,
  start,
} from './service/start.ts'
export {
  describe,
  type NamedStream,
  type Plan,
  ResultStream,
  type Segment,
  Stream,
  type StreamTypeError,
  segment,
  stream,
  toMermaid,
} from './stream.ts'
export { type CompactedTopic, compacted, type TopicOptions, topic } from './topic.ts'
