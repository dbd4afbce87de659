/** Inputs that end: what `from()` takes beside a topic, and how they are read. */
export { boundedClient } from './boundedClient.ts'
export { BoundedPartition } from './boundedPartition.ts'
export { boundedSourceOf, type FromOptions } from './boundedSource.ts'
export { type LinesOptions, lines } from './lines.ts'
export type { Pages } from './pagesReader.ts'
export { type LookupQueryOptions, type Query, type QueryOptions, query } from './query.ts'
export { readerOf } from './readerOf.ts'
