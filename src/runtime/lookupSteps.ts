/** The steps of a stream that look rows up, and where an error of theirs happened. */
import { MillraceError, type Place } from '../core/errors.ts'
import type { LookupQuery } from '../core/lookup.ts'
import { nameSteps, type PlanNode } from '../core/plan.ts'

export interface LookupStep {
  readonly place: Place
  readonly query: LookupQuery<object>
}

export function lookupStepsOf(stream: string, steps: readonly PlanNode[]): LookupStep[] {
  const names = nameSteps(steps)
  return steps.flatMap((node) => {
    if (node.kind !== 'operator' || node.operator.mode !== 'lookup') return []
    return [{ place: { stream, step: names.get(node) }, query: node.operator.query }]
  })
}

/** Asks for rows; an error tells for which step. */
export async function lookUpFor(place: Place, ask: () => Promise<readonly object[]>): Promise<readonly object[]> {
  try {
    return await ask()
  } catch (error) {
    throw error instanceof MillraceError ? error.locate(place) : error
  }
}
