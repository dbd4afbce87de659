/** The real store, with its real commit, over the modelled Postgres. */
import type { Clock } from '../../src/core/clock.ts'
import type { Claim, WaitingItem } from '../../src/core/store.ts'
import { Connections } from '../../src/postgres/connections.ts'
import { PostgresStore } from '../../src/postgres/postgresStore.ts'
import { postgresTarget } from '../../src/postgres/settings.ts'
import type { ModelServer, Peer } from './modelServer.ts'

export const target = postgresTarget({ url: 'postgres://model@model:5432/model' })

/**
 * @param clock of the process that the store belongs to
 * @param taken told which items of the collector the process is given to run
 */
export function modelStore(
  server: ModelServer,
  peer: Peer,
  clock: Clock,
  taken: (items: readonly WaitingItem[]) => void = () => {},
): PostgresStore {
  return new WatchedStore(new Connections(target, server.pool(peer), clock), taken)
}

class WatchedStore extends PostgresStore {
  readonly #taken: (items: readonly WaitingItem[]) => void

  constructor(connections: Connections, taken: (items: readonly WaitingItem[]) => void) {
    super(connections)
    this.#taken = taken
  }

  override async takeWaiting(claim: Claim, limit: number): Promise<readonly WaitingItem[]> {
    const items = await super.takeWaiting(claim, limit)
    this.#taken(items)
    return items
  }
}
