import { createServer } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { kafkaAvailability, startServices } from '../../dev/services/index.ts'
import { freePorts } from '../../dev/services/ports.ts'

afterEach(() => vi.unstubAllEnvs())

describe('services that already run', () => {
  test('are used, and stopping stops nothing', async () => {
    const given = { KAFKA_BROKERS: 'one:9092,two:9092', DATABASE_URL: 'postgres://db/app' }
    const services = await startServices({ kafka: true, postgres: true }, given)
    expect(services).toMatchObject({
      brokers: ['one:9092', 'two:9092'],
      databaseUrl: 'postgres://db/app',
      kafka: undefined,
      postgres: undefined,
    })
    await services.stop()
  })

  test('are left alone when they are not wanted', async () => {
    const services = await startServices({}, { KAFKA_BROKERS: 'one:9092', DATABASE_URL: 'postgres://db/app' })
    expect(services).toMatchObject({ brokers: [], databaseUrl: '' })
  })
})

test('without Java there is one sentence that says what to do', async () => {
  vi.stubEnv('JAVA_HOME', '/nowhere')
  const availability = await kafkaAvailability()
  expect(availability).toMatchObject({ available: false, reason: { code: 'java-missing' } })
  expect(!availability.available && availability.reason.message).toBe(
    'Java 17 or newer is needed for a real Kafka, and "/nowhere/bin/java" cannot be run: install it, or set KAFKA_BROKERS to a Kafka that already runs.',
  )
})

test('free ports are different ones, and nobody listens there', async () => {
  const ports = await freePorts(20)
  expect(new Set(ports).size).toBe(20)
  for (const port of ports) {
    const server = createServer()
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
    server.close()
  }
})
