/** Free TCP ports on this machine. */
import { createServer } from 'node:net'
import { ServiceError } from './serviceError.ts'

// Below the range from which operating systems take ports of outgoing connections (32768 on Linux, 49152 elsewhere):
// a port from that range may be gone when a service that was killed on purpose starts again on it.
const lowestPort = 20_000
const highestPort = 32_000
const attempts = 200

/**
 * As many different free ports of 127.0.0.1 as asked for. Another process may take one before it is used, so whoever
 * starts a server on it tries again with other ports. Throws ServiceError `no-free-port`.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  for (let attempt = 0; attempt < attempts && ports.size < count; attempt++) {
    const port = lowestPort + Math.floor(Math.random() * (highestPort - lowestPort))
    if (!ports.has(port) && (await isFree(port))) ports.add(port)
  }
  if (ports.size < count) {
    throw new ServiceError(
      'no-free-port',
      `No free TCP port was found between ${lowestPort} and ${highestPort}: stop what listens there, or set KAFKA_BROKERS and DATABASE_URL to services that already run.`,
    )
  }
  return [...ports]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}
