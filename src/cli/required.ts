/** Settings that a command cannot do without, and where to give them. */
import { SettingsError } from '../core/errors.ts'
import type { CliSettings } from './settings.ts'

export function requireGroup({ group }: CliSettings): string {
  if (group !== undefined) return group
  throw missing('a consumer group', '--group <name>, MILLRACE_GROUP, or "group" in the settings file')
}

export function requireBrokers({ kafka }: CliSettings): readonly string[] {
  if (kafka?.brokers !== undefined) return kafka.brokers
  const places = '--brokers localhost:9092, MILLRACE_KAFKA_BROKERS, or "kafka": { "brokers": […] } in the settings file'
  throw missing('the address of Kafka', places)
}

/** Where Postgres is, if that was said. */
export function postgresOf({ postgres }: CliSettings): CliSettings['postgres'] {
  return postgres?.url === undefined && postgres?.host === undefined ? undefined : postgres
}

export function requirePostgres(settings: CliSettings): NonNullable<CliSettings['postgres']> {
  const postgres = postgresOf(settings)
  if (postgres !== undefined) return postgres
  const places =
    '--database postgres://user@host/db, MILLRACE_POSTGRES_URL, or "postgres": { "url": … } in the settings file'
  throw missing('the address of Postgres', places)
}

function missing(what: string, places: string): SettingsError {
  return new SettingsError('MR-CLI-MISSING', { what: `${what} is missing`, fix: `Give it as ${places}.` })
}
