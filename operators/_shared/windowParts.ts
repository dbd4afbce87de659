/** What windows of all kinds have in common. */
import type { Key } from '../../src/core/key.ts'
import type { Accumulation } from './aggregators.ts'

/** The window of a result, its end excluded. */
export interface Window {
  readonly start: Date
  readonly end: Date
}

/** What every result of a window has. */
export interface WindowResult<K> {
  readonly key: K
  readonly window: Window
}

/** What windows of all kinds are made of. */
export interface WindowParts<V> {
  readonly accumulation: Accumulation<V>
  readonly graceMs: number
  readonly emit: EmitRule
}

export type EmitRule = { readonly kind: 'close' | 'update' } | { readonly kind: 'every'; readonly ms: number }

/** What a window gives. */
export function resultOf<V>(
  accumulation: Accumulation<V>,
  key: Key,
  start: number,
  end: number,
  accumulators: readonly unknown[],
): object {
  return accumulation.results(accumulators, { key, window: { start: new Date(start), end: new Date(end) } })
}
