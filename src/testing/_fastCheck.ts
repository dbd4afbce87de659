/** Laws on random inputs: the shortest that breaks one is told, and a line of code that runs it again. */
import type { Arbitrary } from 'fast-check'
import { messageOf, SettingsError } from '../core/errors.ts'
import type { OptionRules } from '../core/options.ts'
import { decodeReplay, encodeReplay } from './_replay.ts'

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
  /** Random inputs for each group of laws. Default 100. */
  readonly numRuns?: number
  /** Draws the same inputs again. Default: others each time; a failure tells which. */
  readonly seed?: number
  /** Runs one input and no other: that of a failure, which prints the line of code. */
  readonly replay?: string
}

export const lawRunRules: OptionRules = {
  numRuns: { type: 'number', min: 1 },
  seed: { type: 'number', min: -(2 ** 31), max: 2 ** 31 - 1 },
  replay: { type: 'string' },
}

/** Names the law that a check belongs to. */
export function law<T>(name: string, check: () => T): T {
  try {
    return check()
  } catch (broken) {
    throw lawBroken(name, messageOf(broken), broken)
  }
}

export function lawBroken(name: string, seen: string, cause?: unknown): Error {
  return new Error(`law broken: ${name}\n${seen}`, cause === undefined ? undefined : { cause })
}

/** Laws that are checked on one kind of inputs. */
export interface LawGroup<Input> {
  /** Tells these laws from others that are checked in the same call. */
  readonly name: string
  readonly inputs: Arbitrary<Input>
  /** Whether the simplest input there is comes first: where a failure changes those that follow, shrinking leads nowhere. */
  readonly simplestFirst?: boolean
  check(input: Input): Promise<void>
  /** Shows an input, and what it was that failed with it, to people. Default: as fast-check does. */
  tell?(input: Input, error: unknown): string
  /** The code that runs an input again, with `replay` as a property. */
  again(replay: string): string
}

/**
 * Checks laws on random inputs, or on the one that is replayed when it belongs to them.
 *
 * @throws Error with the law that broke, the shortest input that breaks it, what was seen, and how to see it again
 */
export async function checkLaws<Input>(fc: FastCheck, group: LawGroup<Input>, runs: LawRuns): Promise<void> {
  const { numRuns, seed, replay } = runs
  if (replay !== undefined) {
    const { group: owner, input } = decodeReplay(replay)
    if (owner === group.name) await checkOne(fc, group, input as Input, 'It was replayed.', replay)
    return
  }
  if (group.simplestFirst) {
    const input = simplestOf(fc, group.inputs)
    await checkOne(fc, group, input, 'Found with the simplest input.', encodeReplay(group.name, input))
  }
  const details = await fc.check(fc.asyncProperty(group.inputs, group.check), {
    ...(numRuns === undefined ? {} : { numRuns }),
    ...(seed === undefined ? {} : { seed }),
  })
  if (!details.failed) return
  const [input] = details.counterexample as [Input]
  const { numRuns: run, numShrinks } = details
  const found = `Found in run ${run} with seed ${details.seed}, and shrunk ${numShrinks === 1 ? 'once' : `${numShrinks} times`}.`
  throw failure(fc, group, input, details.errorInstance, found, encodeReplay(group.name, input))
}

async function checkOne<Input>(
  fc: FastCheck,
  group: LawGroup<Input>,
  input: Input,
  found: string,
  replay: string | undefined,
): Promise<void> {
  try {
    await group.check(input)
  } catch (error) {
    throw failure(fc, group, input, error, found, replay)
  }
}

/** What shrinking ends with when everything fails. */
function simplestOf<Input>(fc: FastCheck, inputs: Arbitrary<Input>): Input {
  const { counterexample } = fc.check(
    fc.property(inputs, () => false),
    { numRuns: 1, seed: 0 },
  )
  return (counterexample as [Input])[0]
}

function failure<Input>(
  fc: FastCheck,
  { tell = (input) => `with ${fc.stringify(input)}`, again }: LawGroup<Input>,
  input: Input,
  error: unknown,
  found: string,
  replay: string | undefined,
): Error {
  const [what, ...seen] = messageOf(error).split('\n')
  const line = replay === undefined ? [] : [`Run it again with: ${again(replay)}`]
  return new Error([what, tell(input, error), ...seen, found, ...line].join('\n'), { cause: error })
}
