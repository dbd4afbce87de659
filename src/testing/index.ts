/** millrace/testing: plans run over arrays, and the laws that operators and sinks keep. */

export type { EmittedRecord } from './_emitted.ts'
export type { LawRuns } from './_fastCheck.ts'
export type { Build } from './_lawRun.ts'
export type { Expected, Given, PlanLaw } from './_planLaws.ts'
export { arbitraryOf } from './arbitraryOf.ts'
export {
  type CheckInput,
  type CheckModel,
  type CheckOptions,
  check,
  outcomes,
  records,
  rows,
} from './check.ts'
export {
  createMemoryBroker,
  type MemoryBroker,
  type MemoryBrokerOptions,
  type MemoryTransaction,
} from './memoryBroker.ts'
export type { MemoryRecord } from './memoryLog.ts'
export { type LookupRows, MemoryStore, type MemoryStoreOptions, type Row } from './memoryStore.ts'
export { type MemoryWriterOptions, memoryWriter } from './memoryWriter.ts'
export { assertOperatorLaws, type OperatorLawOptions } from './operatorLaws.ts'
export {
  type SinkConformanceOptions,
  type SinkFeatures,
  type SinkUnderTest,
  sinkConformance,
} from './sinkConformance.ts'
export {
  type ItemOutcome,
  type RecordOptions,
  type RecordOptionsOf,
  type TestDriver,
  type TestDriverOptions,
  testDriver,
} from './testDriver.ts'
