/**
 * The sockets of one client: opened here, so that they can all be closed at once whatever kafkajs is waiting for,
 * and remembered per broker, so that an error can say what was seen on the way.
 */
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { SocketFactory, SocketRequest } from './kafkajsInternals.ts'

/** What was seen of one broker so far. */
export interface BrokerSighting {
  readonly address: string
  /** A connection was made; with TLS, the handshake went through. */
  connected: boolean
  /** The broker sent something that was not a TLS alert. */
  answered: boolean
  /** A broker that was not asked for TLS sent a TLS alert. */
  wantsTls: boolean
  /** The last failure, as node names it, or `ended` when the broker closed the connection. */
  lastError: { readonly code: string; readonly message: string } | undefined
}

export interface Sockets {
  readonly factory: SocketFactory
  /** Every address that was tried, in the order of the first try. */
  sightings(): readonly BrokerSighting[]
  /** Breaks the connections to one broker, `host:port`; kafkajs makes new ones at the next request. */
  drop(address: string): void
  /** Breaks all connections; no new one is made from now on. */
  close(): void
}

/** How long the first keep-alive probe waits; finds a peer that vanished without a word. */
const keepAliveMs = 60_000

export function createSockets(connectTimeoutMs: number): Sockets {
  const open = new Map<Socket, string>()
  const seen = new Map<string, BrokerSighting>()
  let closed = false

  const factory: SocketFactory = (request) => {
    if (closed) throw new Error('the client is closed')
    const address = `${request.host}:${request.port}`
    const sighting = seen.get(address) ?? fresh(address)
    seen.set(address, sighting)
    const socket = openSocket(request)
    open.set(socket, address)
    watch(socket, sighting, request.ssl ? 'secureConnect' : 'connect', connectTimeoutMs)
    socket.once('close', () => {
      open.delete(socket)
      // kafkajs disconnects a dead connection at every failure; on a closed socket each unref would leave a listener.
      socket.unref = () => socket
    })
    return socket
  }

  const breakAll = (address: string | undefined, message: string): void => {
    for (const [socket, to] of open) {
      if (address === undefined || address === to) socket.destroy(new Error(message))
    }
  }

  return {
    factory,
    sightings: () => [...seen.values()],
    drop: (address) => breakAll(address, 'the connection did not answer'),
    close: () => {
      closed = true
      breakAll(undefined, 'the client is closed')
    },
  }
}

function fresh(address: string): BrokerSighting {
  return { address, connected: false, answered: false, wantsTls: false, lastError: undefined }
}

function openSocket({ host, port, ssl, onConnect }: SocketRequest): Socket {
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket = ssl
    ? connectTls({ host, port, ...servername, ...(typeof ssl === 'object' ? ssl : {}) }, onConnect)
    : connect({ host, port }, onConnect)
  // A request is one write; waiting to fill a packet would only add to its latency.
  socket.setNoDelay(true)
  socket.setKeepAlive(true, keepAliveMs)
  return socket
}

function watch(socket: Socket, sighting: BrokerSighting, connectedEvent: string, connectTimeoutMs: number): void {
  // kafkajs gives up on a connection attempt but leaves its socket trying; this one goes with it.
  const timer = setTimeout(() => socket.destroy(), connectTimeoutMs + 50)
  // Provisional: a last attempt that is cut off must not hide what an earlier one was told.
  sighting.lastError ??= { code: 'ETIMEDOUT', message: 'no answer to the connection attempt' }
  socket.once(connectedEvent, () => {
    clearTimeout(timer)
    sighting.connected = true
    sighting.lastError = undefined
  })
  socket.once('data', (bytes: Buffer) => {
    // A TLS alert record: type 21, version 3.x. To a client without TLS it would look like a huge answer.
    if (bytes.length >= 2 && bytes[0] === 0x15 && bytes[1] === 0x03) {
      sighting.wantsTls = true
      socket.destroy(Object.assign(new Error('the broker answered with a TLS alert'), { code: 'EPROTO' }))
    } else sighting.answered = true
  })
  socket.once('end', () => {
    sighting.lastError ??= { code: 'ended', message: 'the broker closed the connection' }
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    sighting.lastError = { code: error.code ?? 'error', message: error.message }
  })
  socket.once('close', () => clearTimeout(timer))
}
