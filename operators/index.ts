/** Every operator, one line each. A new one is also a method in src/stream.ts. */
export { type BatchOptions, batch } from './batch.ts'
export { filter } from './filter.ts'
export { flatMap } from './flatMap.ts'
export { map } from './map.ts'
export { type MapAsyncOptions, mapAsync } from './mapAsync.ts'
export { type Pipe, type PipeClass, type ProcessOptions, process, type Results } from './process.ts'
export { tap } from './tap.ts'
