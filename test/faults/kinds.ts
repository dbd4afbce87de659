/** The kinds of episodes, and what an episode of each is. */
import { strikeBrokers } from './episodes/brokers.ts'
import { kill } from './episodes/kills.ts'
import { changeMembers } from './episodes/members.ts'
import { strikeAtPoints } from './episodes/points.ts'
import { strikePostgres } from './episodes/postgres.ts'
import { disturbNetwork } from './episodes/proxy.ts'
import { stopAndGoOn } from './episodes/zombies.ts'
import type { Scene, SceneSettings } from './scene.ts'
import type { Tally } from './tally.ts'

export interface Episode {
  readonly scene: Scene
  readonly tally: Tally
  /** Number of the first fault of this episode among all of its kind, so that faults of a list take turns. */
  readonly first: number
  readonly faults: number
  readonly seed: number
  /** Undefined when the scene uses servers of others. */
  readonly own: OwnServers
}

/** Servers that this episode alone uses, and may strike. */
export interface OwnServers {
  readonly kafka?: { kill(): Promise<void>; restart(): Promise<void>; pause(): void; resume(): void }
  readonly postgres?: { kill(): Promise<void>; restart(): Promise<void>; readonly url: string }
}

interface KindOfEpisode {
  /** Strikes, and after each fault waits until every partition has committed again. */
  run(episode: Episode): Promise<void>
  /** Faults of one episode at most: what is done again when the run is ended from outside. */
  readonly faults: number
  readonly needs?: 'kafka' | 'postgres'
  readonly scene?: Partial<SceneSettings>
}

export const kinds = {
  kills: { run: kill, faults: 10 },
  points: { run: strikeAtPoints, faults: 7 },
  zombies: { run: stopAndGoOn, faults: 5 },
  proxy: { run: disturbNetwork, faults: 10 },
  postgres: { run: strikePostgres, faults: 5, needs: 'postgres' },
  brokers: { run: strikeBrokers, faults: 3, needs: 'kafka' },
  members: { run: changeMembers, faults: 6, scene: { transactional: true } },
} as const satisfies Record<string, KindOfEpisode>

export type Kind = keyof typeof kinds

export const kindNames = Object.keys(kinds) as Kind[]

export function kindOf(kind: Kind): KindOfEpisode {
  return kinds[kind]
}
