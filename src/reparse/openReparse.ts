/** A reparse over Kafka and Postgres, as the settings of a service describe them. */
import { systemClock } from '../core/clock.ts'
import { SettingsError } from '../core/errors.ts'
import { requireTopics } from '../core/plan.ts'
import type { DirectClient } from '../core/source.ts'
import type { Reparse, ReparseAdmin } from '../postgres/reparseAdmin.ts'
import { resolvePostgres, resolveSettings, type StartSettings } from '../service/settings.ts'
import { leavesOf, type Plan } from '../stream.ts'
import { planReparse, planToResume, type ReparsePlan } from './planReparse.ts'
import { type ReparseParts, type ReparseReport, runReparse } from './runReparse.ts'
import type { Selection } from './selection.ts'

/** A plan whose items can be run again. */
export interface Reparser {
  /** What would be done. Changes nothing. */
  plan(selection: Selection): Promise<ReparsePlan>
  /** The same for one that was interrupted. */
  planToResume(id: number): Promise<ReparsePlan>
  /** Does it. */
  run(plan: ReparsePlan, hooks: Pick<ReparseParts, 'signal' | 'onProgress'>): Promise<ReparseReport>
  close(): Promise<void>
}

/** Connects when it is first asked; close it. @throws PlanError, SettingsError */
export async function openReparse(plan: Plan, settings: StartSettings): Promise<Reparser> {
  const leaves = leavesOf(plan)
  requireTopics('millrace reparse', leaves)
  const { group: app, kafka, postgres, commit, buffer, logger } = resolveSettings(settings)
  if (kafka === undefined) throw new SettingsError('MR-SETTING', { what: 'a reparse needs "kafka"' })
  const { createDirectClient } = await import('../kafka/directClient.ts')
  const { createPostgresStore } = await import('../postgres/postgresStore.ts')
  const admin = await openAdmin(postgres)
  const connect = (): DirectClient => createDirectClient({ ...kafka, groupId: app }, { logger })
  const planning = { app, leaves, admin, connect }
  return {
    plan: (selection) => planReparse(planning, selection),
    planToResume: (id) => planToResume(planning, id),
    run: (planned, hooks) =>
      runReparse(planned, {
        admin,
        store: createPostgresStore({ ...postgres, logger }),
        connect,
        limits: commit,
        buffer,
        clock: systemClock,
        log: logger,
        ...hooks,
      }),
    close: () => admin.close(),
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

async function openAdmin(postgres: StartSettings['postgres']): Promise<ReparseAdmin> {
  const { createReparseAdmin } = await import('../postgres/reparseAdmin.ts')
  return createReparseAdmin(postgres)
}
