/** Plans over a broker in memory and the real Postgres, run and run again. */
import { systemClock } from '../../../src/core/clock.ts'
import { silentLogger } from '../../../src/core/logger.ts'
import type { AssignedPartition, DirectClient } from '../../../src/core/source.ts'
import { createPostgresStore, createShadowStore } from '../../../src/postgres/postgresStore.ts'
import { createReparseAdmin } from '../../../src/postgres/reparseAdmin.ts'
import { createShadowAdmin } from '../../../src/postgres/shadow/shadowAdmin.ts'
import { planReparse } from '../../../src/reparse/planReparse.ts'
import { planShadow } from '../../../src/reparse/planShadow.ts'
import { type ReparseParts, type ReparseReport, runReparse } from '../../../src/reparse/runReparse.ts'
import { runShadow, type ShadowReport } from '../../../src/reparse/runShadow.ts'
import type { Selection } from '../../../src/reparse/selection.ts'
import { type App, start } from '../../../src/service/start.ts'
import { leavesOf, type Plan } from '../../../src/stream.ts'
import type { MemoryBroker } from '../../../src/testing/memoryBroker.ts'
import { memoryWriter } from '../../../src/testing/memoryWriter.ts'

export interface Surroundings {
  readonly broker: MemoryBroker
  readonly url: string
  readonly group: string
  readonly maxItems?: number
}

const limits = { everyMs: 1_000, maxItems: 10_000, maxBytes: 2 ** 24 }

/** A service; stop it. */
export function serve(plan: Plan, { broker, url, group, maxItems = 10_000 }: Surroundings): Promise<App> {
  return start(plan, {
    group,
    client: broker.client(group),
    writer: memoryWriter(broker, { create: 1 }),
    postgres: { url },
    from: 'earliest',
    commit: { maxItems },
    logger: silentLogger,
  })
}

/** Runs a plan to the end of what there is. */
export async function catchUp(plan: Plan, surroundings: Surroundings): Promise<void> {
  const app = await serve(plan, surroundings)
  try {
    await app.caughtUp()
  } finally {
    await app.stop()
  }
}

/** Runs items again, as `millrace reparse --execute` does. */
export async function reparse(
  plan: Plan,
  { broker, url, group, maxItems = 10_000 }: Surroundings,
  selection: Selection = {},
  more: Partial<ReparseParts> = {},
): Promise<ReparseReport> {
  const admin = createReparseAdmin({ url })
  try {
    const connect = () => directOver(broker)
    const planned = await planReparse({ app: group, leaves: leavesOf(plan), admin, connect }, selection)
    return await runReparse(planned, {
      admin,
      store: createPostgresStore({ url }),
      connect,
      limits: { ...limits, maxItems },
      buffer: { maxBytes: 2 ** 26, maxItems: 100_000 },
      clock: systemClock,
      log: silentLogger,
      ...more,
    })
  } finally {
    await admin.close()
  }
}

/** Makes the tables of a plan anew, as `millrace reparse --shadow --execute` does. */
export async function shadow(
  plan: Plan,
  { broker, url, group, maxItems = 10_000 }: Surroundings,
  stream?: string,
  more: Partial<ReparseParts> = {},
): Promise<ShadowReport> {
  const admin = createReparseAdmin({ url })
  const shadows = createShadowAdmin({ url })
  try {
    const connect = () => directOver(broker)
    const planned = await planShadow({ app: group, leaves: leavesOf(plan), admin, connect, shadows }, stream)
    return await runShadow(planned, {
      admin,
      shadows,
      storeOf: ({ id }) => createShadowStore({ url }, id),
      connect,
      limits: { ...limits, maxItems },
      buffer: { maxBytes: 2 ** 26, maxItems: 100_000 },
      clock: systemClock,
      log: silentLogger,
      ...more,
    })
  } finally {
    await shadows.close()
    await admin.close()
  }
}

let clients = 0

/** Reads a broker in memory without disturbing its groups. */
function directOver(broker: MemoryBroker): DirectClient {
  const client = broker.client(`direct-${++clients}`)
  return {
    async open(partitions, revoked) {
      let found: readonly AssignedPartition[] = []
      await client.start(
        [...new Set(partitions.map(({ topic }) => topic))],
        (assignment) => {
          found = assignment.partitions
        },
        () => {},
      )
      revoked.addEventListener('abort', () => void client.stop(0), { once: true })
      return partitions.flatMap(
        (of) => found.find(({ topic, partition }) => topic === of.topic && partition === of.partition) ?? [],
      )
    },
    close: () => client.stop(0),
  }
}
