/**
 * `npm run demo`: real flights through a real Kafka into a real Postgres, and a recount that says whether every one of them
 * arrived once.
 */
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import { kafkaAvailability, ServiceError, startServices } from '../../dev/services/index.ts'
import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'
import { Cleanup } from './cleanup.ts'
import { clear, DemoError, type Input, load } from './input.ts'
import { collectedTable, type DemoResult, jsonLine, verdict, worstAirports } from './output.ts'
import { recordCount } from './records.ts'
import { recountFile } from './recount.ts'
import { type Consumer, consumeInProcess, runService } from './service.ts'
import { type DemoSettings, parseDemoArgs, usage } from './settings.ts'
import { verify } from './verify.ts'
import { readPosition, watchProgress } from './watch.ts'

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Everything up to the verdict: true when the recount agrees. */
async function demo(settings: DemoSettings, cleanup: Cleanup): Promise<boolean> {
  const given = (process.env.KAFKA_BROKERS ?? '') !== ''
  const kafka = given ? { available: true as const } : await kafkaAvailability()
  if (!kafka.available) {
    say(kafka.reason.message)
    say('Until then the demo reads from a broker in the memory of this process, and writes into a real Postgres.')
  }
  const missing = [
    ...(kafka.available && !given ? ['Kafka'] : []),
    ...((process.env.DATABASE_URL ?? '') === '' ? ['Postgres'] : []),
  ]
  if (missing.length > 0) say(`starting ${missing.join(' and ')}`)
  const services = await startServices({ kafka: kafka.available, postgres: true })
  cleanup.add(() => services.stop())
  const { brokers, databaseUrl: url } = services
  const database = new pg.Client(url)
  await reached('Postgres', 'DATABASE_URL', database.connect())
  // A server that is stopped while this stands idle ends the connection: what runs on it then fails by itself.
  database.on('error', () => {})
  cleanup.add(() => database.end())

  const input: Input = kafka.available
    ? { kafka: new Kafka({ clientId: 'flights-demo', brokers, logLevel: logLevel.NOTHING }) }
    : { memory: createMemoryBroker() }
  if ('kafka' in input) await reached('Kafka', 'KAFKA_BROKERS', listTopics(input.kafka))
  await clear(input, database, settings.fresh)
  const broken = await load(input, settings.flights)

  const group = `flights-demo-${Date.now().toString(36)}`
  const consume = (untilCaughtUp: boolean): Consumer => {
    const consumer =
      'memory' in input
        ? consumeInProcess(input.memory, { group, url })
        : runService({ group, brokers, url }, { untilCaughtUp })
    cleanup.add(() => consumer.stop())
    return consumer
  }
  const records = recordCount(settings.flights)
  say('starting the service')
  const { caughtUp } = consume(true)
  const seconds = await watchProgress(caughtUp, () => readPosition(database, group), records)
  const outcomes = await caughtUp

  say('recounting from the parquet file')
  const expected = await recountFile(settings.flights)
  const verification = await verify({ database, group, expected, broken, outcomes })
  const result: DemoResult = { records, recordsPerSecond: records / seconds, verification }
  say(`\nThe airports with the worst mean delay:\n${await worstAirports(database)}`)
  say(`\nIn the error collector (millrace.errors), and why:\n${collectedTable(verification)}`)
  say(`\n${verdict(result)}`)
  if (settings.keep && 'kafka' in input) consume(false)
  say(`\n${hints(settings.keep, services.postgres?.psqlHint ?? `psql '${url}'`, brokers)}`)
  if (settings.json) say(jsonLine(result))
  return verification.complaints.length === 0
}

async function listTopics(kafka: Kafka): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  await admin.listTopics().finally(() => admin.disconnect())
}

/** What was started here can be reached; what a variable names need not. */
async function reached(service: string, variable: string, connecting: Promise<unknown>): Promise<void> {
  try {
    await connecting
  } catch (cause) {
    const why = cause instanceof Error && cause.message !== '' ? cause.message : String(cause)
    throw new DemoError(
      `${service} cannot be reached (${why}): correct ${variable}, or leave it unset and the demo starts one of its own.`,
      { cause },
    )
  }
}

function hints(keep: boolean, psql: string, brokers: readonly string[]): string {
  const queries = [
    '  select * from flights order by delay_minutes desc limit 10;',
    '  select partition, next_offset, version from millrace.progress;',
    '  select topic, partition, record_offset, step, error_message from millrace.errors;',
  ]
  if (!keep) return `To look with psql, run it with --keep; what to ask:\n${queries.join('\n')}`
  const kafka = brokers.length === 0 ? '' : `, Kafka at ${brokers.join(',')}`
  return `Still running until Ctrl-C${kafka}. Look with\n  ${psql}\n${queries.join('\n')}`
}

async function main(): Promise<number> {
  let settings: DemoSettings
  try {
    settings = parseDemoArgs(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${usage}\n`)
    return 2
  }
  const cleanup = new Cleanup((error) => say(`while cleaning up: ${error instanceof Error ? error.message : error}`))
  const interrupted = new Promise<number>((resolve) => {
    process.once('SIGINT', () => resolve(130))
    process.once('SIGTERM', () => resolve(143))
  })
  try {
    const finished = demo(settings, cleanup).then((verified) => (verified ? 0 : 1))
    // After Ctrl-C it fails on what is being stopped, and nobody waits for it any more.
    finished.catch(() => {})
    const code = await Promise.race([finished, interrupted])
    if (settings.keep && code < 2) await interrupted
    return code
  } catch (error) {
    const explained = error instanceof DemoError || error instanceof ServiceError
    process.stderr.write(
      `${!explained && error instanceof Error ? error.stack : error instanceof Error ? error.message : error}\n`,
    )
    return 1
  } finally {
    await cleanup.run()
  }
}

process.exit(await main())
