/** A way to a server that can be disturbed as networks are. */
import { once } from 'node:events'
import net from 'node:net'
import { type Manner, Pipe } from './pipe.ts'

/**
 * What happens to a connection over which the text is sent:
 *
 * - `lose the request`: it never reaches the server, and the connection is cut;
 * - `lose the answer`: the server carries it out, and the connection is cut before the answer gets through;
 * - `swallow the answer`: the same, but the connection stays open and silent.
 */
export type Fault = 'lose the request' | 'lose the answer' | 'swallow the answer'

/**
 * How bytes get through, in both directions unless it says otherwise. What a connection has lost in silence is lost: it stays
 * silent when others get through again, as one does whose other end has vanished.
 */
export type Traffic = 'normal' | 'slow' | 'byte by byte' | 'silent' | 'requests lost' | 'answers lost'

const manners: Readonly<Record<Traffic, { readonly requests: Manner; readonly answers: Manner }>> = {
  normal: { requests: 'normal', answers: 'normal' },
  slow: { requests: 'slow', answers: 'slow' },
  'byte by byte': { requests: 'byte by byte', answers: 'byte by byte' },
  silent: { requests: 'lost', answers: 'lost' },
  'requests lost': { requests: 'lost', answers: 'normal' },
  'answers lost': { requests: 'normal', answers: 'lost' },
}

/** One connection through the proxy. */
interface Passage {
  readonly client: net.Socket
  readonly upstream: net.Socket
  readonly requests: Pipe
  readonly answers: Pipe
  fault: Fault | undefined
}

export class TcpProxy {
  readonly #server: net.Server
  readonly #passages = new Set<Passage>()
  #awaited: { readonly text: string; readonly fault: Fault } | undefined
  #traffic: Traffic = 'normal'
  #isDown = false
  #turnedAway = 0
  #accepted = 0

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#server = net.createServer((client) => this.#accept(client, target))
  }

  static async open(host: string, port: number): Promise<TcpProxy> {
    const proxy = new TcpProxy({ host, port })
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  /** How many connections were asked for while it was down. */
  get turnedAway(): number {
    return this.#turnedAway
  }

  /** How many connections were made through it. */
  get accepted(): number {
    return this.#accepted
  }

  /** Whether a fault of {@link failOnce} is still to come. */
  get isArmed(): boolean {
    return this.#awaited !== undefined
  }

  /** Waits for a request with the text on any connection, once. */
  failOnce(text: string, fault: Fault): void {
    this.#awaited = { text, fault }
  }

  /** Refuses connections from now on, or takes them again. */
  setDown(down: boolean): void {
    this.#isDown = down
  }

  /** From now on, for connections that are there and for those that are made. */
  setTraffic(traffic: Traffic): void {
    this.#traffic = traffic
    for (const passage of this.#passages) direct(passage, traffic)
  }

  /** Ends all connections, in order (FIN). */
  cut(): void {
    for (const { client, upstream } of this.#passages) {
      client.end()
      upstream.end()
    }
  }

  /** Breaks all connections (RST). */
  reset(): void {
    for (const { client, upstream } of this.#passages) {
      client.resetAndDestroy()
      upstream.resetAndDestroy()
    }
  }

  async close(): Promise<void> {
    for (const { client, upstream } of this.#passages) {
      client.destroy()
      upstream.destroy()
    }
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: net.Socket, { host, port }: { readonly host: string; readonly port: number }): void {
    if (this.#isDown) {
      this.#turnedAway += 1
      client.destroy()
      return
    }
    this.#accepted += 1
    const upstream = net.connect(port, host)
    const passage: Passage = {
      client,
      upstream,
      requests: new Pipe(upstream),
      answers: new Pipe(client),
      fault: undefined,
    }
    this.#passages.add(passage)
    direct(passage, this.#traffic)
    const cut = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true)
      socket.on('error', cut)
      socket.on('close', () => {
        // Silence is kept up when the server gives up on its side, as behind a network that has parted.
        if (!isSilent(passage) || socket === client) cut()
        if (client.destroyed) this.#passages.delete(passage)
      })
    }
    client.on('data', (data) => {
      this.#strikeAt(data, passage)
      if (passage.fault === 'lose the request') cut()
      else passage.requests.send(data)
    })
    upstream.on('data', (data) => {
      if (passage.fault === 'lose the answer') cut()
      else if (passage.fault === undefined) passage.answers.send(data)
    })
  }

  #strikeAt(data: Buffer, passage: Passage): void {
    if (this.#awaited === undefined || !data.includes(this.#awaited.text)) return
    passage.fault = this.#awaited.fault
    this.#awaited = undefined
  }
}

function direct({ requests, answers }: Passage, traffic: Traffic): void {
  requests.manner = manners[traffic].requests
  answers.manner = manners[traffic].answers
}

function isSilent({ fault, requests, answers }: Passage): boolean {
  return fault === 'swallow the answer' || requests.isDead || answers.isDead
}

/** A way to a Postgres, and the URL that leads there. */
export async function proxyTo(databaseUrl: string): Promise<{ readonly proxy: TcpProxy; readonly url: string }> {
  const url = new URL(databaseUrl)
  const proxy = await TcpProxy.open(url.hostname, Number(url.port || 5432))
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  return { proxy, url: url.href }
}
