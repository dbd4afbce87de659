/**
 * Every error that millrace raises by itself, in one printed form:
 *
 *     millrace: <what happened> (stream "…", step "…", topic[partition]@offset)
 *       <what usually causes it>
 *       <what to do>                                          <CODE>
 *
 * A class stands for who has to act on it, `code` for the cause. Codes are stable: tools and
 * runbooks match on them, so a code is never reused for another cause.
 */

/** Where an error happened; every part is optional and only what is known is printed. */
export interface Place {
  readonly stream?: string | undefined
  readonly step?: string | undefined
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  readonly offset?: number | undefined
}

/** The parts of an error's text. */
export interface ErrorText {
  /** What happened: one line, without a full stop. */
  readonly what: string
  /** What usually causes it, or what was compared. */
  readonly why?: string | undefined
  /** What the reader can do about it. */
  readonly fix?: string | undefined
  readonly place?: Place | undefined
  readonly cause?: unknown
}

/** The base of all errors of this library; `instanceof MillraceError` separates them from a user's own. */
export abstract class MillraceError extends Error {
  /** Whether the same work may succeed when it is tried again without anybody doing anything. */
  abstract readonly retryable: boolean
  readonly code: string
  readonly place: Place
  readonly #text: ErrorText

  constructor(code: string, text: ErrorText) {
    super(printed(code, text), text.cause === undefined ? undefined : { cause: text.cause })
    this.name = new.target.name
    this.code = code
    this.place = text.place ?? {}
    this.#text = text
  }

  /** Completes where it happened: who raises an error deep down does not know the stream and the step. */
  locate(place: Place): this {
    const located = { ...place, ...this.place }
    Object.assign(this, { place: located })
    this.message = printed(this.code, { ...this.#text, place: located })
    return this
  }
}

/** The plan cannot run as composed: a wrong step, a name used twice, a feature that does not exist. */
export class PlanError extends MillraceError {
  override readonly retryable = false
}

/** A setting is missing, unknown or out of range. */
export class SettingsError extends MillraceError {
  override readonly retryable = false
}

/** One item cannot be processed: its bytes, its value, or what a callback did with it. Such an item is collected. */
export class ItemError extends MillraceError {
  override readonly retryable = false
}

/** The source (Kafka) cannot be read as the plan wants it; the operator has to act. */
export class SourceError extends MillraceError {
  override readonly retryable = false
}

/** The store (Postgres) cannot take what the plan writes; the operator has to act. */
export class StoreError extends MillraceError {
  override readonly retryable = false
}

/** The store or the source is away or busy for now; the batch is tried again. */
export class UnavailableError extends MillraceError {
  override readonly retryable = true
}

/** Another owner has taken this task over: nothing of the batch was committed, and the task stops. */
export class FenceLostError extends MillraceError {
  override readonly retryable = false
}

/** The task was taken away from its owner, and nobody has it: whoever is to run it claims it again at once. */
export class FenceReleasedError extends FenceLostError {}

/** Too many items of a stream have failed: it does not run until somebody says so, or another plan is started. */
export class HaltedError extends MillraceError {
  override readonly retryable = false
}

/** An invariant of millrace itself does not hold. Always a defect in millrace. */
export class InternalError extends MillraceError {
  override readonly retryable = false
}

function printed(code: string, { what, why, fix, place }: ErrorText): string {
  const where = place === undefined ? '' : placeText(place)
  const lines = [`millrace: ${what}${where === '' ? '' : ` (${where})`}`]
  for (const part of [why, fix]) {
    if (part !== undefined) lines.push(...part.split('\n').map((line) => `  ${line}`))
  }
  lines[lines.length - 1] += `  ${code}`
  return lines.join('\n')
}

/** `stream "flights", step "map", flights[2]@17` with only the parts that are known. */
function placeText(place: Place): string {
  const parts: string[] = []
  if (place.stream !== undefined) parts.push(`stream "${place.stream}"`)
  if (place.step !== undefined) parts.push(`step "${place.step}"`)
  if (place.topic !== undefined) {
    const partition = place.partition === undefined ? '' : `[${place.partition}]`
    const offset = place.offset === undefined ? '' : `@${place.offset}`
    parts.push(`${place.topic}${partition}${offset}`)
  }
  return parts.join(', ')
}

/** The message of anything that may have been thrown, which need not be an Error. */
export function messageOf(thrown: unknown): string {
  return textOf(thrown instanceof Error ? propertyOf(thrown, 'message') : thrown)
}

/** A property of what was thrown; undefined where it has none, also because it is a getter that throws. */
export function propertyOf(thrown: unknown, name: 'name' | 'message' | 'stack' | 'code'): unknown {
  try {
    return (thrown as Readonly<Record<string, unknown>>)[name]
  } catch {
    return undefined
  }
}

/** Anything as text, also what cannot be converted: an object without a prototype. */
export function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}
