import { messageOf, StoreError } from '../core/errors.ts'
import type { Link } from './connections.ts'
import { schemaSteps } from './migrations.ts'
import type { PostgresTarget } from './settings.ts'
import { sqlstateOf } from './sqlstate.ts'

/** Any number, as long as it is ours alone: held while the schema is brought up to date. */
const lockNumber = 6_071_230_017

/**
 * Makes what is missing of millrace's own schema. Several processes may do so at once: the later ones wait.
 *
 * Looks first: where the schema is complete, no right to create anything is needed.
 */
export async function migrate(link: Link, target: PostgresTarget): Promise<void> {
  if ((await missingSteps(link)).length === 0) return
  const { runner } = await import('node-pg-migrate')
  const { logger } = target
  const units = schemaSteps.map(({ name, sql }) => ({
    id: name,
    filePaths: [],
    actions: { up: (builder: { sql(text: string): unknown }) => void builder.sql(sql), down: false as const },
  }))
  try {
    await runner({
      dbClient: link.client,
      migrationsSchema: 'millrace',
      migrationsTable: 'migrations',
      createMigrationsSchema: true,
      direction: 'up',
      singleTransaction: true,
      advisoryLockMode: 'wait',
      lockValue: lockNumber,
      // The steps are values of this program, the same from source and compiled. The runner insists on finding
      // a file and asking a loader for what is in it: it finds the one that holds them, and is handed the values.
      dir: import.meta.dirname,
      ignorePattern: '(?!migrations\\.[jt]s$).*',
      migrationLoaderStrategies: [{ extensions: ['.js', '.ts'], loader: () => Promise.resolve(units) }],
      logger: {
        debug: (message: string) => logger.debug({}, message),
        info: (message: string) => logger.debug({}, message),
        warn: (message: string) => logger.warn({}, message),
        error: (message: string) => logger.debug({}, message),
      },
    })
  } catch (error) {
    throw sqlstateOf(error) === '42501' ? notAllowed(target, error) : error
  }
}

async function missingSteps(link: Link): Promise<readonly string[]> {
  const names = schemaSteps.map(({ name }) => name)
  const { rows } = await link.query<{ there: boolean }>(
    "select to_regclass('millrace.migrations') is not null as there",
  )
  if (rows[0]?.there !== true) return names
  const done = await link.query<{ name: string }>('select name from millrace.migrations')
  const doneNames = new Set(done.rows.map(({ name }) => name))
  return names.filter((name) => !doneNames.has(name))
}

function notAllowed(target: PostgresTarget, cause: unknown): StoreError {
  return new StoreError('MR-PG-SCHEMA', {
    what: `millrace's own tables are missing in ${target.name}, and user "${target.user}" may not create them`,
    why: messageOf(cause),
    fix: `Let somebody who may apply the printed schema (schemaSql()), or grant create on the database to "${target.user}".`,
    cause,
  })
}
