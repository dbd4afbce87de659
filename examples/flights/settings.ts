import { parseArgs } from 'node:util'
import { allFlights } from './dataset.ts'

/** What was asked for on the command line. */
export interface DemoSettings {
  /** Number of flights, the broken records not counted. */
  readonly flights: number
  /** Leave the services and the consumer running until Ctrl-C. */
  readonly keep: boolean
  /** Print one last line of JSON. */
  readonly json: boolean
  /** Drop what an earlier run left in brokers and a database of one's own. */
  readonly fresh: boolean
}

export const usage = `npm run demo -- [options]
  --all          all 3,000,000 flights instead of the first 500,000
  --records N    the first N flights
  --keep         leave everything running until Ctrl-C
  --json         print one last line of JSON
  --fresh        with KAFKA_BROKERS or DATABASE_URL: first drop the topic and the tables of an earlier run`

/** @throws TypeError with a sentence when an option is unknown or out of range */
export function parseDemoArgs(args: readonly string[]): DemoSettings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      all: { type: 'boolean', default: false },
      records: { type: 'string', default: '500000' },
      keep: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
    },
  })
  const { all, records, keep, json, fresh } = values
  const flights = all ? allFlights : Number(records)
  if (!Number.isSafeInteger(flights) || flights < 1_000 || flights > allFlights) {
    throw new TypeError(`--records takes a whole number from 1000 to ${allFlights}, not "${records}"`)
  }
  return { flights, keep, json, fresh }
}
