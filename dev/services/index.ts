/** The services that the demo, the tests and the benchmark stand on. */
import { type KafkaOptions, type KafkaService, startKafka } from './kafka.ts'
import { type PostgresService, startPostgres } from './postgres.ts'

export { type KafkaService, startKafka } from './kafka.ts'
export { kafkaAvailability } from './kafkaJars.ts'
export { type PostgresService, startPostgres } from './postgres.ts'
export { ServiceError } from './serviceError.ts'

export interface WantedServices {
  /** Default: none. */
  readonly kafka?: boolean | KafkaOptions
  /** Default: none. */
  readonly postgres?: boolean
}

export interface Services {
  /** Empty when no Kafka was wanted. */
  readonly brokers: string[]
  /** Empty when no Postgres was wanted. */
  readonly databaseUrl: string
  /** Undefined when `KAFKA_BROKERS` named one that already runs. */
  readonly kafka: KafkaService | undefined
  /** Undefined when `DATABASE_URL` named one that already runs. */
  readonly postgres: PostgresService | undefined
  /** Stops what was started here, and nothing else. */
  stop(): Promise<void>
}

/**
 * Starts what is wanted, both at once; `KAFKA_BROKERS` (comma-separated) and `DATABASE_URL` of `environment` are used
 * instead where they are set. Throws ServiceError, and then nothing is left running.
 */
export async function startServices(
  wanted: WantedServices,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Services> {
  const { kafka: wantedKafka = false, postgres: wantedPostgres = false } = wanted
  const givenBrokers = environment.KAFKA_BROKERS?.split(',').filter((broker) => broker !== '') ?? []
  const givenUrl = environment.DATABASE_URL ?? ''
  const [kafka, postgres] = await Promise.allSettled([
    wantedKafka !== false && givenBrokers.length === 0
      ? startKafka(wantedKafka === true ? {} : wantedKafka)
      : undefined,
    wantedPostgres && givenUrl === '' ? startPostgres() : undefined,
  ])
  const stop = async () => {
    await Promise.all(
      [kafka, postgres].map((service) => (service.status === 'fulfilled' ? service.value?.stop() : undefined)),
    )
  }
  if (kafka.status === 'rejected' || postgres.status === 'rejected') {
    await stop()
    throw kafka.status === 'rejected' ? kafka.reason : (postgres as PromiseRejectedResult).reason
  }
  return {
    brokers: wantedKafka === false ? [] : (kafka.value?.brokers ?? givenBrokers),
    databaseUrl: wantedPostgres ? (postgres.value?.url ?? givenUrl) : '',
    kafka: kafka.value,
    postgres: postgres.value,
    stop,
  }
}
