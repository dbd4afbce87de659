/** A reparse over Kafka and Postgres, as the settings of a service describe them. */
import { systemClock } from '../core/clock.ts'
import { SettingsError } from '../core/errors.ts'
import { requireTopics } from '../core/plan.ts'
import type { DirectClient } from '../core/source.ts'
import type { Reparse, ReparseAdmin } from '../postgres/reparseAdmin.ts'
import type { ShadowAdmin } from '../postgres/shadow/shadowAdmin.ts'
import { resolvePostgres, resolveSettings, type StartSettings } from '../service/settings.ts'
import { leavesOf, type Plan } from '../stream.ts'
import { planReparse, planToResume, type ReparsePlan, requireRunning } from './planReparse.ts'
import { planShadow, type ShadowPlan } from './planShadow.ts'
import { type ReparseParts, type ReparseReport, runReparse } from './runReparse.ts'
import { runShadow, type ShadowReport } from './runShadow.ts'
import type { Selection } from './selection.ts'

type Hooks = Pick<ReparseParts, 'signal' | 'onProgress'>

/** A plan whose items can be run again. */
export interface Reparser {
  /** What would be done. Changes nothing. */
  plan(selection: Selection): Promise<ReparsePlan>
  /** The same for one that was interrupted. */
  planToResume(id: number): Promise<ReparsePlan>
  /** Does it. */
  run(plan: ReparsePlan, hooks: Hooks): Promise<ReparseReport>
  /** What would be done to make the tables anew of whole topics; of all streams where none is named. */
  planShadow(stream: string | undefined): Promise<ShadowPlan>
  /** Does that. */
  runShadow(plan: ShadowPlan, hooks: Hooks): Promise<ShadowReport>
  close(): Promise<void>
}

/** Connects when it is first asked; close it. @throws PlanError, SettingsError */
export async function openReparse(plan: Plan, settings: StartSettings): Promise<Reparser> {
  const leaves = leavesOf(plan)
  requireTopics('millrace reparse', leaves)
  const { group: app, kafka, postgres, commit, buffer, logger } = resolveSettings(settings)
  if (kafka === undefined) throw new SettingsError('MR-SETTING', { what: 'a reparse needs "kafka"' })
  const { createDirectClient } = await import('../kafka/directClient.ts')
  const { createPostgresStore, createShadowStore } = await import('../postgres/postgresStore.ts')
  const { createShadowAdmin } = await import('../postgres/shadow/shadowAdmin.ts')
  const admin = await openAdmin(postgres)
  const shadows = createShadowAdmin(postgres)
  const connect = (): DirectClient => createDirectClient({ ...kafka, groupId: app }, { logger })
  const planning = { app, leaves, admin, connect, shadows }
  const running = { admin, connect, limits: commit, buffer, clock: systemClock, log: logger }
  return {
    plan: (selection) => planReparse(planning, selection),
    planToResume: (id) => planToResume(planning, id),
    run: (planned, hooks) =>
      runReparse(planned, { ...running, store: createPostgresStore({ ...postgres, logger }), ...hooks }),
    planShadow: (stream) => planShadow(planning, stream),
    runShadow: (planned, hooks) =>
      runShadow(planned, {
        ...running,
        shadows,
        storeOf: ({ id }) => createShadowStore({ ...postgres, logger }, id),
        ...hooks,
      }),
    close: async () => {
      await shadows.close()
      await admin.close()
    },
  }
}

/** Reparses of a group, the first one first. */
export async function listReparses(postgres: StartSettings['postgres'], app: string): Promise<readonly Reparse[]> {
  const admin = await openAdmin(resolvePostgres(postgres))
  try {
    return await admin.reparses(app)
  } finally {
    await admin.close()
  }
}

/** A reparse that would be given up, with the tables that go with it. @throws SettingsError when it is not running */
export async function planDrop(
  postgres: StartSettings['postgres'],
  app: string,
  id: number,
): Promise<{ reparse: Reparse; tables: readonly string[] }> {
  const found = (await listReparses(postgres, app)).find((reparse) => reparse.id === id)
  const reparse = requireRunning(found, app, id)
  const tables = await withShadows(postgres, (shadows) => shadows.shadows(reparse))
  return { reparse, tables: tables.map(({ shadow }) => shadow) }
}

/** Gives up a reparse. What it has replaced stays replaced; tables that it was making go. */
export async function dropReparse(postgres: StartSettings['postgres'], reparse: Reparse): Promise<void> {
  await withShadows(postgres, (shadows) => shadows.drop(reparse))
}

async function withShadows<T>(
  postgres: StartSettings['postgres'],
  work: (shadows: ShadowAdmin) => Promise<T>,
): Promise<T> {
  const { createShadowAdmin } = await import('../postgres/shadow/shadowAdmin.ts')
  const shadows = createShadowAdmin(resolvePostgres(postgres))
  try {
    return await work(shadows)
  } finally {
    await shadows.close()
  }
}

async function openAdmin(postgres: StartSettings['postgres']): Promise<ReparseAdmin> {
  const { createReparseAdmin } = await import('../postgres/reparseAdmin.ts')
  return createReparseAdmin(postgres)
}
