/** The real store, with its real commit, over the modelled Postgres. */
import type { Clock } from '../../src/core/clock.ts'
import { Connections } from '../../src/postgres/connections.ts'
import { PostgresStore } from '../../src/postgres/postgresStore.ts'
import { postgresTarget } from '../../src/postgres/settings.ts'
import type { ModelServer, Peer } from './modelServer.ts'

const target = postgresTarget({ url: 'postgres://model@model:5432/model' })

/** @param clock of the process that the store belongs to */
export function modelStore(server: ModelServer, peer: Peer, clock: Clock): PostgresStore {
  return new PostgresStore(new Connections(target, server.pool(peer), clock))
}
