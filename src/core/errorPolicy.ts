/** What becomes of items that fail, for a whole stream: whether they are tried again, who waits for them, and when there are too many. */
import { PlanError } from './errors.ts'
import { isOptions, type OptionRules, validateOptions } from './options.ts'

/** When an item that failed is tried again. Made by {@link retry}. */
export interface RetryPolicy {
  readonly kind: 'backoff' | 'soft'
  /** Tries in all, the first included. */
  readonly attempts: number
  /** Milliseconds before the second try: from the one to the other, by chance. */
  readonly firstMs: readonly [from: number, to: number]
  /** How much longer each pause is than the one before. */
  readonly factor: number
  /** Milliseconds that a pause takes at most. */
  readonly maxMs: number
  /** The share of a pause by which it may be longer or shorter, by chance: from 0 to 1. */
  readonly jitter: number
}

export interface RetryOptions {
  /** Tries in all, the first included. */
  readonly attempts: number
  /** Milliseconds before the second try; two numbers for any time between them. */
  readonly firstMs?: number | readonly [from: number, to: number]
  /** How much longer each pause is than the one before. */
  readonly factor?: number
  /** Milliseconds that a pause takes at most. Default: an hour. */
  readonly maxMs?: number
  /** The share of a pause by which it may be longer or shorter, by chance: from 0 to 1. */
  readonly jitter?: number
}

const retryRules: OptionRules = {
  attempts: { type: 'number', min: 1, max: 1_000, required: true },
  firstMs: { type: 'span' },
  factor: { type: 'number', min: 1, fraction: true },
  maxMs: { type: 'number', min: 1 },
  jitter: { type: 'number', min: 0, max: 1, fraction: true },
}

const anHourMs = 3_600_000

/** A pause of so many milliseconds or more is not waited for: the item is put off. */
export const putOffFromMs = 1_000

function policy(
  kind: RetryPolicy['kind'],
  options: RetryOptions,
  defaults: Omit<RetryOptions, 'attempts'>,
): RetryPolicy {
  validateOptions(`retry.${kind}()`, options, retryRules)
  const { attempts, firstMs = 0, factor = 1, maxMs = anHourMs, jitter = 0 } = { ...defaults, ...options }
  const [from, to] = typeof firstMs === 'number' ? [firstMs, firstMs] : firstMs
  return Object.freeze({ kind, attempts, firstMs: [from, to] as const, factor, maxMs, jitter })
}

/**
 * How often and when items that failed are tried again.
 *
 * @example
 * payments.errorPolicy({ retry: retry.backoff({ attempts: 3, firstMs: 200, factor: 2 }) })
 */
export const retry: {
  /** Tries again after pauses that grow, then collects the item. Defaults: firstMs 200, factor 2, jitter 0. */
  backoff(options: RetryOptions): RetryPolicy
  /**
   * Tries again after random pauses, with a line of log each time, then gives up quietly: the item is ignored, and whatever
   * made it goes on. Defaults: firstMs 5,000 to 20,000, factor 1.5, jitter 0.
   */
  soft(options: RetryOptions): RetryPolicy
} = {
  backoff: (options) => policy('backoff', options, { firstMs: 200, factor: 2 }),
  soft: (options) => policy('soft', options, { firstMs: [5_000, 20_000], factor: 1.5 }),
}

/**
 * Milliseconds to wait before the next try; undefined when there were enough.
 *
 * @param tried tries so far
 * @param random two numbers from 0 to 1
 */
export function pauseBefore(
  { attempts, firstMs: [from, to], factor, maxMs, jitter }: RetryPolicy,
  tried: number,
  random: readonly [number, number],
): number | undefined {
  if (tried >= attempts) return undefined
  const pause = (from + (to - from) * random[0]) * factor ** (tried - 1)
  return Math.round(Math.min(maxMs, pause) * (1 + jitter * (random[1] * 2 - 1)))
}

/** How many items may be collected before the stream is halted. */
export interface ErrorBudget {
  /** Collected items one after the other in a partition. Default 100. */
  readonly inARow?: number
  /** The share of the last 1,000 items of a partition. Default 0.5. */
  readonly share?: number
}

export interface ErrorPolicyOptions {
  /** Without it an item that fails is collected at once. */
  readonly retry?: RetryPolicy
  /** When the stream is halted, until `millrace resume` or another plan. `false`: never. */
  readonly budget?: ErrorBudget | false
  /** `'key'`: once an item is collected or deferred, later ones of its key wait behind it, and follow it in order. */
  readonly park?: 'key'
  /** Items of a partition that may wait so at most; then the partition is broken off. Default 10,000. */
  readonly maxParked?: number
  /**
   * Changes what the collector keeps of an item: its value and key, as bytes, and its headers. Not together with `park` or
   * pauses of a second or more: such items are run by themselves from what is kept.
   */
  readonly redact?: Redaction
}

/** What the collector keeps of a record. */
export interface RedactableRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
}

/** Gives what the collector is to keep. An item whose value was changed cannot be replayed as it was. */
export type Redaction = (record: RedactableRecord) => RedactableRecord

/** An error policy with every default filled in. */
export interface ErrorPolicy {
  readonly retry: RetryPolicy | undefined
  readonly budget: Required<ErrorBudget> | undefined
  readonly park: boolean
  readonly maxParked: number
  readonly redact: Redaction | undefined
}

const policyRules: OptionRules = {
  retry: { type: 'object' },
  budget: { type: 'object' },
  park: { type: 'choice', of: ['key'] },
  maxParked: { type: 'number', min: 1 },
  redact: { type: 'function' },
}
const budgetRules: OptionRules = {
  inARow: { type: 'number', min: 1 },
  share: { type: 'number', min: 0, max: 1, fraction: true },
}

/** @throws PlanError MR-PLAN-OPTION */
export function errorPolicyOf(options: ErrorPolicyOptions): ErrorPolicy {
  const { retry: retried, budget = {}, park, maxParked = 10_000, redact } = isOptions(options) ? options : {}
  validateOptions('errorPolicy()', budget === false ? { ...options, budget: {} } : options, policyRules)
  if (retried !== undefined && !(retried.kind === 'backoff' || retried.kind === 'soft')) {
    throw new PlanError('MR-PLAN-OPTION', {
      what: 'errorPolicy(): "retry" must be made by retry.backoff() or retry.soft()',
    })
  }
  if (redact !== undefined && (park === 'key' || (retried !== undefined && mayPutOff(retried)))) throw runFromKept()
  if (budget !== false) validateOptions('errorPolicy(): "budget"', budget, budgetRules)
  return Object.freeze({
    retry: retried,
    budget: budget === false ? undefined : { inARow: 100, share: 0.5, ...budget },
    park: park === 'key',
    maxParked,
    redact,
  })
}

function mayPutOff(policy: RetryPolicy): boolean {
  return policy.attempts > 1 && (pauseBefore(policy, policy.attempts - 1, [1, 1]) ?? 0) >= putOffFromMs
}

function runFromKept(): PlanError {
  return new PlanError('MR-PLAN-OPTION', {
    what: 'errorPolicy(): "redact" cannot be together with "park", or with a retry that may pause for a second or more',
    why: 'Items that wait or are put off are run again by themselves from what the collector keeps, and would be run changed.',
    fix: 'Keep the pauses below a second (maxMs, jitter), leave "park" or "redact" out, or take the secret out before it gets into the topic.',
  })
}

/** The policy of a stream that states none. */
export const defaultErrorPolicy: ErrorPolicy = errorPolicyOf({})
