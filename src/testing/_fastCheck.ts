import { SettingsError } from '../core/errors.ts'

export type FastCheck = typeof import('fast-check')

/** fast-check is loaded when a law is checked, so that the test driver works without it. */
export async function loadFastCheck(): Promise<FastCheck> {
  try {
    return await import('fast-check')
  } catch (cause) {
    throw new SettingsError('MR-TEST-FAST-CHECK', {
      what: 'laws are checked with fast-check, which is not installed',
      fix: 'npm install --save-dev fast-check',
      cause,
    })
  }
}

/** How many random inputs are tried, and how a failure is repeated. */
export interface LawRuns {
  /** Random inputs for each group of laws. */
  readonly numRuns?: number
  /** With `path`: repeats a failure; both are printed with it. */
  readonly seed?: number
  readonly path?: string
}

/** Names the law that a check belongs to. */
export function law<T>(name: string, check: () => T): T {
  try {
    return check()
  } catch (broken) {
    throw new Error(`law broken: ${name}\n${messageOf(broken)}`)
  }
}

/**
 * Checks laws on random inputs; when a failure is repeated, only those that it belongs to.
 *
 * @param group tells these laws from others that are checked in the same call
 * @param tell shows an input to people
 * @throws Error with the law that broke, the shortest input that breaks it and what was seen
 */
export async function checkLaws<Input>(
  fc: FastCheck,
  group: string,
  inputs: import('fast-check').Arbitrary<Input>,
  { numRuns, seed, path }: LawRuns,
  check: (input: Input) => Promise<void>,
  tell: (input: Input) => string = (input) => fc.stringify(input),
): Promise<void> {
  const [owner, ownPath] = path?.split('/') ?? []
  if (owner !== undefined && owner !== group) return
  const details = await fc.check(fc.asyncProperty(inputs, check), {
    ...(numRuns === undefined ? {} : { numRuns }),
    ...(seed === undefined ? {} : { seed }),
    ...(ownPath === undefined ? {} : { path: ownPath }),
  })
  if (!details.failed) return
  const again = { seed: details.seed, path: `${group}/${details.counterexamplePath}` }
  const [what, ...seen] = messageOf(details.errorInstance).split('\n')
  const [counterexample] = details.counterexample as [Input]
  const lines = [
    what,
    `with ${tell(counterexample)}`,
    ...seen,
    `found in run ${details.numRuns}, shrunk ${details.numShrinks} times; again with ${JSON.stringify(again)}`,
  ]
  throw new Error(lines.join('\n'))
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
