/** `npm run services`: a Kafka and a Postgres that run until Ctrl-C, for tests in watch mode and for trying things out. */
import { ServiceError, startServices } from './index.ts'

try {
  const services = await startServices({ kafka: true, postgres: true }, {})
  console.log(`export KAFKA_BROKERS='${services.brokers.join(',')}'`)
  console.log(`export DATABASE_URL='${services.databaseUrl}'`)
  console.error('Both run until Ctrl-C; paste these two lines into another terminal to use them there.')
  const keepAlive = setInterval(() => undefined, 60_000)
  const stop = () => {
    clearInterval(keepAlive)
    void services.stop().then(() => process.exit(0))
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
} catch (error) {
  if (!(error instanceof ServiceError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
