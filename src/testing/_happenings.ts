/** What may happen to a plan while it runs: drawn at random, and told in words. */
import type { Arbitrary } from 'fast-check'
import type { FastCheck } from './_fastCheck.ts'
import type { Happening } from './_scene.ts'

/** @param emits whether the plan writes to topics */
export function happenings(fc: FastCheck, emits: boolean): Arbitrary<Happening[]> {
  const happening: Arbitrary<Happening> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('arrive' as const), count: fc.integer({ min: 1, max: 6 }) }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'kill' as const }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill at commit' as const), after: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'freeze' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'join' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'lose database' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 2_000 }) }) },
    ...(emits ? [{ weight: 3, arbitrary: killsWhenSending(fc) }] : []),
  )
  return fc.array(happening, { maxLength: 10 })
}

function killsWhenSending(fc: FastCheck): Arbitrary<Happening> {
  return fc.record({ kind: fc.constant('kill when sending' as const), after: fc.nat({ max: 6 }) })
}

export function told(happening: Happening): string {
  switch (happening.kind) {
    case 'arrive':
      return happening.count === 1 ? '1 record arrives' : `${happening.count} records arrive`
    case 'kill':
      return 'the oldest process is killed'
    case 'kill at commit':
      return `the oldest process is killed at its next commit, ${happening.after ? 'after' : 'before'} it is carried out`
    case 'kill when sending':
      return `the oldest process is killed when it sends to topics next, after ${happening.after === 1 ? '1 record' : `${happening.after} records`}`
    case 'freeze':
      return 'the oldest process is taken for dead and goes on'
    case 'join':
      return 'a process joins'
    case 'lose database':
      return 'the next commit of the oldest process finds the database away'
    case 'pass':
      return `${happening.ms} ms pass`
    default:
      return happening satisfies never
  }
}
