/**
 * Standard Schema v1 (standardschema.dev): what zod, valibot, arktype and others have in common.
 * Only the interface is declared here, so none of them is a dependency.
 */

/** A schema that takes an `Input` and answers with an `Output`, or with what is wrong. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    /** The library that the schema comes from. */
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    /** For the compiler only; not there at run time. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  /** From the outside in: a key, or an object that holds one. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Schemas may be functions (arktype), so this asks for the property and not for the type. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  return ((typeof value === 'object' && value !== null) || typeof value === 'function') && '~standard' in value
}

/** `legs[2].origin: expected a string`, or the message alone for the value as a whole. */
export function issueText({ message, path = [] }: StandardIssue): string {
  let place = ''
  for (const segment of path) {
    const key = typeof segment === 'object' ? segment.key : segment
    if (typeof key === 'number') place += `[${key}]`
    else place += place === '' ? String(key) : `.${String(key)}`
  }
  return place === '' ? message : `${place}: ${message}`
}
