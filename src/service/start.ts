import { systemClock } from '../core/clock.ts'
import type { TopicWriter } from '../core/emit.ts'
import { requireTopics } from '../core/plan.ts'
import type { SourceClient } from '../core/source.ts'
import { forgottenSinks, leavesOf, type Plan } from '../stream.ts'
import type { App } from './app.ts'
import { LoopWatch } from './loopWatch.ts'
import { Service } from './service.ts'
import { type ResolvedSettings, resolveSettings, type StartSettings } from './settings.ts'

export type { PostgresConnection } from '../postgres/connection.ts'
export type { App, AppStats, PartitionStats } from './app.ts'
export { BrokenOffError, StalledError, StoppedError } from './serviceErrors.ts'
export type { KafkaConnection, StartSettings } from './settings.ts'

const aDayMs = 86_400_000

/**
 * Runs a plan as one member of its consumer group, until it is stopped or fails.
 *
 * @example
 * const app = await start([saved, alerts], { group: 'flights', kafka: { brokers: ['localhost:9092'] }, postgres: { url } })
 * await app.caughtUp()
 * await app.stop()
 *
 * *Resolves* when tables and topics have been checked and the group has been joined. Records are read from then on; what
 * goes wrong later rejects `app.done`.
 *
 * @throws PlanError, SettingsError; StoreError and SourceError when Postgres or Kafka is not as the plan needs it;
 *   UnavailableError when one of them cannot be reached. Nothing is left open then.
 */
export async function start(plan: Plan, settings: StartSettings): Promise<App> {
  const leaves = leavesOf(plan)
  requireTopics('start()', leaves)
  const resolved = resolveSettings(settings)
  const { group, from, commit, buffer, errors, stateKeys, stallAfterMs, blockedAfterMs, logger, signal } = resolved
  signal?.throwIfAborted()
  const forgotten = forgottenSinks()
  if (forgotten.length > 0) {
    logger.warn(
      { steps: forgotten },
      'these steps write to a table but are in no plan that was started: their streams do not run',
    )
  }
  // Loaded here and not above, so that whoever composes, describes or tests a plan loads neither Kafka's client nor pg.
  const { createPostgresStore } = await import('../postgres/postgresStore.ts')
  const store = createPostgresStore({ ...resolved.postgres, logger, maxKeptValueBytes: errors.maxValueBytes })
  const client = await clientOf(resolved)
  const writer = await writerOf(resolved)
  const loopWatch = new LoopWatch({ blockedAfterMs }, logger)
  const service = new Service({
    group,
    leaves,
    client,
    store,
    ...(writer === undefined ? {} : { writer }),
    commit,
    buffer,
    stateKeys,
    from,
    keepErrorsMs: errors.keepDays * aDayMs,
    stallAfterMs,
    cursor: loopWatch.cursor,
    clock: systemClock,
    log: logger,
  })
  const stop = () => void service.stop()
  signal?.addEventListener('abort', stop, { once: true })
  // An abort during the imports came before anybody listened.
  if (signal?.aborted) stop()
  loopWatch.start()
  void service.done
    .catch(() => {})
    .finally(() => {
      loopWatch.stop()
      signal?.removeEventListener('abort', stop)
    })
  try {
    await service.start()
  } catch (error) {
    // A start that was cut short fails somewhere; where, says nothing.
    signal?.throwIfAborted()
    throw error
  }
  if (signal?.aborted) {
    await service.stop()
    throw signal.reason
  }
  return service
}

async function writerOf({ writer, kafka, group, logger }: ResolvedSettings): Promise<TopicWriter | undefined> {
  if (kafka === undefined) return writer
  const { createTopicWriter } = await import('../kafka/topicWriter.ts')
  return createTopicWriter({ ...kafka, groupId: group }, { logger })
}

async function clientOf({ client, kafka, group, logger }: ResolvedSettings): Promise<SourceClient> {
  if (client !== undefined) return client
  const { createKafkaClient } = await import('../kafka/kafkaClient.ts')
  return createKafkaClient({ brokers: [], ...kafka, groupId: group }, { logger })
}
