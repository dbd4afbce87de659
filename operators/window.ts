/** Windows: aggregates of the values of a key that belong together in time. */
import { type Duration, durationMs, durationText } from '../src/core/duration.ts'
import { PlanError } from '../src/core/errors.ts'
import type { KeyedHandlers, KeyedOperator, KeyedStep, KeyRule } from '../src/core/keyed.ts'
import { isOptions, type OptionRules, shown, validateOptions } from '../src/core/options.ts'
import type { Next } from '../src/core/step.ts'
import type { Accumulation, Aggregates } from './_shared/aggregators.ts'
import { countWindows, globalWindows } from './_shared/countWindows.ts'
import { type EventTimeOptions, eventTimeOf, eventTimeRules } from './_shared/eventTime.ts'
import { SessionHandlers } from './_shared/sessionWindows.ts'
import { SlidingHandlers } from './_shared/slidingWindows.ts'
import { timeWindows } from './_shared/timeWindows.ts'
import type { EmitRule, Window, WindowParts, WindowResult } from './_shared/windowParts.ts'
import type { WindowSpec } from './_shared/windowSpecs.ts'

export type { Window, WindowResult }

/** When results are given: once, when a window closes; whenever a value has come; or at each multiple of a time. */
export type Emit = 'close' | 'update' | { readonly every: Duration }

export interface WindowOptions<V> extends EventTimeOptions<V> {
  /** How long a window stays open behind its end, in event time. Default: not at all. */
  readonly grace?: Duration
  /** Default: `close`. */
  readonly emit?: Emit
}

const rules: OptionRules = { ...eventTimeRules, grace: { type: 'object' }, emit: { type: 'object' } }

/** Aggregates the values of each key in windows. */
export function windowed<V>(
  key: KeyRule<V>,
  spec: WindowSpec,
  options: WindowOptions<V>,
  accumulation: Accumulation<V>,
  aggregates: Aggregates<V>,
): KeyedOperator<V, object> {
  const parts = windowParts(spec, options, accumulation)
  return Object.freeze({
    mode: 'keyed',
    kind: 'aggregate',
    detail: `${spec.text}, ${emitText(parts)}`,
    callbacks: [key.of, options.time, ...Object.values(aggregates).flatMap(({ add, result }) => [add, result])],
    key,
    time: eventTimeOf('window()', options),
    shape: `${spec.text}; ${accumulation.shape}`,
    holdsBackMs: parts.emit.kind === 'update' ? 0 : parts.graceMs + (spec.kind === 'session' ? spec.gapMs : 0),
    attach: (next: Next<object>, late: Next<unknown>, step: KeyedStep) => handlersOf(spec, parts, next, late, step),
  } satisfies KeyedOperator<V, object>)
}

function handlersOf<V>(
  spec: WindowSpec,
  parts: WindowParts<V>,
  next: Next<object>,
  late: Next<unknown>,
  step: KeyedStep,
): KeyedHandlers<V> {
  switch (spec.kind) {
    case 'aligned':
    case 'calendar':
      return timeWindows(spec, parts, next, late, step)
    case 'session':
      return new SessionHandlers(spec, parts, next, late, step)
    case 'sliding':
      return new SlidingHandlers(spec, parts, next, late, step)
    case 'count':
      return countWindows(spec, parts, next, step)
    case 'global':
      return globalWindows(spec, parts, next, step)
    default:
      return spec satisfies never
  }
}

function windowParts<V>(spec: WindowSpec, options: WindowOptions<V>, accumulation: Accumulation<V>): WindowParts<V> {
  if (!isOptions(spec) || !('kind' in spec)) {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `window() takes a description of windows, but was given ${shown(spec)}`,
      fix: 'Write window(tumbling({ hours: 1 })).',
    })
  }
  const { emit, ...others } = options
  validateOptions('window()', others, rules)
  const graceMs = options.grace === undefined ? 0 : durationMs('window(): "grace"', options.grace)
  return { accumulation, graceMs, emit: emitOf(spec, emit) }
}

function emitOf(spec: WindowSpec, emit: Emit = 'close'): EmitRule {
  if (emit !== 'close' && (spec.kind === 'count' || spec.kind === 'global')) {
    throw new PlanError('MR-PLAN-OPTION', { what: `window(): "emit" is said by a ${spec.kind} window itself` })
  }
  if (emit === 'close' || emit === 'update') return { kind: emit }
  if (!isOptions(emit)) {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `window(): "emit" must be 'close', 'update' or { every: … }, but is ${shown(emit)}`,
    })
  }
  if (spec.kind === 'session' || spec.kind === 'sliding') {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `window(): a ${spec.kind} window gives results when it closes, or on update`,
    })
  }
  validateOptions('window(): "emit"', emit, { every: { type: 'object', required: true } })
  return { kind: 'every', ms: durationMs('window(): "emit"', emit.every, 1) }
}

function emitText({ emit, graceMs }: WindowParts<never>): string {
  const when = emit.kind === 'every' ? `every ${durationText(emit.ms)}` : `on ${emit.kind}`
  return graceMs === 0 ? when : `grace ${durationText(graceMs)}, ${when}`
}
