import type { Logger } from '../core/logger.ts'
import type { Kafkajs, LogEntry } from './kafkajsInternals.ts'

/**
 * kafkajs's own log lines, all of them as debug. What is an error for kafkajs (a broker that is away, tried again a
 * moment later) is reported by this client with what it means, once; reporting both would tell every story twice.
 */
export function kafkajsLogger(kafkajs: Kafkajs, logger: Logger): unknown {
  return kafkajs.createLogger({
    level: kafkajs.logLevels.INFO,
    logCreator: () => (entry: LogEntry) => {
      const { message, ...rest } = entry.log
      logger.debug({ ...rest, namespace: entry.namespace, kafkajsLevel: entry.label }, message)
    },
  })
}
