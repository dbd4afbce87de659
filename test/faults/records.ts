/** What the fault suite puts into Kafka: the same records for the same seed, most of them good, some made to fall. */
import type { Message } from 'kafkajs'

/**
 * What has to become of a record:
 *
 * - `good`: one row, and its part of the totals;
 * - `ignored`: `signal.ignore()` behind the tables: nothing;
 * - `malformed`, `thrown`, `refused`: nothing but an item in the collector; the value is no JSON, a callback throws behind
 *   the tables, a CHECK refuses the row;
 * - `filtered`: nothing. The last record of a partition is of this kind;
 * - `aborted`: its transaction is rolled back, so nobody may ever see it.
 */
export type Fate = 'good' | 'ignored' | 'malformed' | 'thrown' | 'refused' | 'filtered' | 'aborted'

/** The value as the plan decodes it. */
export interface Entry {
  readonly id: number
  readonly fate: Fate
  readonly amount: number
}

/** Whether the stream that the others depend on keeps what it wrote for a record. */
export const isAudited = (id: number): boolean => id % 16 !== 7

const keys = 64

/** A record of a number; records of one key follow each other in one partition, as long as the number of partitions stays. */
export function recordOf(id: number, partitions: number, seed: number): Message & { readonly partition: number } {
  const chance = mixed(id, seed)
  return message(id, chance % keys, (chance % keys) % partitions, fateOf((chance >>> 8) % 1_000), (chance >>> 20) % 100)
}

/** The same record in a transaction that is going to be rolled back. */
export function abortedRecordOf(
  id: number,
  partitions: number,
  seed: number,
): Message & { readonly partition: number } {
  const chance = mixed(id, seed)
  return message(id, chance % keys, (chance % keys) % partitions, 'aborted', (chance >>> 20) % 100)
}

/** The last record of a partition: whoever reads this far has read everything. */
export function lastRecordOf(partition: number): Message & { readonly partition: number } {
  return message(-1, 0, partition, 'filtered', 0)
}

/** 1% ignored, 1% broken, the last kind of which costs a whole refused commit and so is rarer. */
function fateOf(perMille: number): Fate {
  if (perMille < 10) return 'ignored'
  if (perMille < 14) return 'malformed'
  if (perMille < 18) return 'thrown'
  return perMille < 20 ? 'refused' : 'good'
}

/** Headers tell the checker what the plan reads from the value, which may be no JSON. */
function message(id: number, key: number, partition: number, fate: Fate, amount: number) {
  const entry: Entry = { id, fate, amount: fate === 'refused' ? -1 : amount }
  const value = JSON.stringify(entry)
  return {
    partition,
    key: `k${key}`,
    value: fate === 'malformed' ? value.slice(0, -1) : value,
    headers: { id: String(id), fate, amount: String(amount) },
  }
}

/** A number of 32 bits that looks like chance and is the same each time. */
export function mixed(id: number, seed: number): number {
  let x = Math.imul(id + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}
