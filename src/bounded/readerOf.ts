import type { Clock } from '../core/clock.ts'
import type { BoundedSource } from '../core/source.ts'
import { arrayReader } from './arrayReader.ts'
import { IterableReader } from './iterableReader.ts'
import { LinesReader } from './linesReader.ts'
import { type Pages, PagesReader } from './pagesReader.ts'
import type { BoundedReader } from './reader.ts'

export interface ReaderParts {
  readonly clock: Clock
  /** Opens a query: who runs a plan knows the database. */
  openQuery(sql: string, params: readonly unknown[]): Pages
}

/** Opens an input, to be read once. */
export function readerOf({ name, input }: BoundedSource<unknown>, { clock, openQuery }: ReaderParts): BoundedReader {
  switch (input.kind) {
    case 'array':
      return arrayReader(name, input.values)
    case 'iterable':
      return new IterableReader(name, input.values, clock)
    case 'lines':
      return new LinesReader(name, input)
    case 'query':
      return new PagesReader(name, openQuery(input.sql, input.params))
  }
}
