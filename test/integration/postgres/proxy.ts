import { once } from 'node:events'
import net from 'node:net'

/**
 * What happens to a connection over which the text is sent:
 *
 * - `lose the request`: it never reaches the server, and the connection is cut;
 * - `lose the answer`: the server carries it out, and the connection is cut before the answer gets through;
 * - `swallow the answer`: the same, but the connection stays open and silent.
 */
export type Fault = 'lose the request' | 'lose the answer' | 'swallow the answer'

/** A way to Postgres that can be cut at a statement. */
export interface Proxy {
  readonly url: string
  /** Waits for a statement with the text on any connection, once. */
  failOnce(text: string, fault: Fault): void
  /** Refuses connections from now on, or takes them again. */
  setDown(down: boolean): void
  /** How many connections were asked for while it was down. */
  readonly turnedAway: number
  close(): Promise<void>
}

export async function openProxy(databaseUrl: string): Promise<Proxy> {
  const target = new URL(databaseUrl)
  const sockets = new Set<net.Socket>()
  let awaited: { text: string; fault: Fault } | undefined
  let isDown = false
  let turnedAway = 0

  const server = net.createServer((client) => {
    if (isDown) {
      turnedAway += 1
      client.destroy()
      return
    }
    const upstream = net.connect(Number(target.port || 5432), target.hostname)
    let fault: Fault | undefined
    const cut = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', cut)
      socket.on('close', () => {
        sockets.delete(socket)
        // Silence is kept up when the server gives up on its side, as behind a network that has parted.
        if (fault !== 'swallow the answer' || socket === client) cut()
      })
    }
    client.on('data', (data) => {
      if (awaited !== undefined && data.includes(awaited.text)) {
        fault = awaited.fault
        awaited = undefined
        if (fault === 'lose the request') return cut()
      }
      upstream.write(data)
    })
    upstream.on('data', (data) => {
      if (fault === 'lose the answer') cut()
      else if (fault === undefined) client.write(data)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = new URL(databaseUrl)
  url.hostname = '127.0.0.1'
  url.port = typeof address === 'object' ? String(address?.port) : ''
  return {
    url: url.href,
    failOnce(text, fault) {
      awaited = { text, fault }
    },
    setDown(down) {
      isDown = down
    },
    get turnedAway() {
      return turnedAway
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
