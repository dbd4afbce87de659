/** Progress: where it ended, and every step that it took on the way. */
import type { Evidence, Finding, Move } from './evidence.ts'

/** At the end everything is committed: next offsets are at the end of the logs. */
export function* checkProgress({ progress, ends }: Evidence): Generator<Finding> {
  for (const [partition, end] of ends) {
    const next = progress.get(partition)
    if (next !== end)
      yield { law: 'progress', text: `partition ${partition} stands at ${next ?? 'nothing'}, its log ends at ${end}` }
  }
}

/**
 * Every change of progress, as a trigger in the database wrote it down in the same transactions. The version goes up by
 * one; positions never go back; a claim moves no position; and once an owner has been replaced, nothing of its is ever
 * committed again: that is what a stale owner's commit that changes 0 rows looks like from inside the database.
 */
export function* checkMoves({ moves }: Evidence): Generator<Finding> {
  const last = new Map<number, Move>()
  const gone = new Map<number, Set<string>>()
  for (const move of [...moves].sort((a, b) => a.seq - b.seq)) {
    const { partition, owner, version, next } = move
    const before = last.get(partition)
    last.set(partition, move)
    if (before === undefined) continue
    const at = `partition ${partition}, version ${version}`
    if (version !== before.version + 1) yield { law: 'moves', text: `${at} follows version ${before.version}` }
    if (next < before.next) yield { law: 'progress', text: `${at}: from offset ${before.next} back to ${next}` }
    if (owner === before.owner) continue
    const former = gone.get(partition) ?? new Set()
    gone.set(partition, former.add(before.owner))
    if (former.has(owner)) yield { law: 'stale', text: `${at}: owner ${owner} committed after it had been replaced` }
    if (next !== before.next) yield { law: 'moves', text: `${at}: the position moved while the owner changed` }
  }
}
