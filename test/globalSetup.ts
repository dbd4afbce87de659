/** Starts the services for the integration tests, or uses those that KAFKA_BROKERS and DATABASE_URL name. */
import type { TestProject } from 'vitest/node'
import { startServices } from '../dev/services/index.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    brokers: string[]
    databaseUrl: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const services = await startServices({ kafka: true, postgres: true })
  project.provide('brokers', services.brokers)
  project.provide('databaseUrl', services.databaseUrl)
  return () => services.stop()
}
