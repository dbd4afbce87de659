import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { loadKafkajs } from '../../src/kafka/kafkajsInternals.ts'
import { patchKafkajs } from '../../src/kafka/kafkajsPatches.ts'

loadKafkajs()
const require = createRequire(import.meta.url)
const fromOurs = <T>(path: string): T => require(`millrace-kafkajs/src/${path}`) as T
const fromTheirs = <T>(path: string): T => require(`kafkajs/src/${path}`) as T

interface Queue {
  pending: unknown[]
  throttleCheckTimeoutId: NodeJS.Timeout | null
  scheduleCheckPendingRequests(): void
  destroy(): void
}

const queuePath = 'network/requestQueue/index.js'
const connectionPath = 'network/connection.js'
const metadataPath = 'protocol/requests/metadata/v6/response.js'
const noop = (): void => {}
const logger = { debug: noop, info: noop, warn: noop, error: noop, namespace: () => logger }

function newQueue(load: typeof fromOurs): Queue {
  const RequestQueue = load<new (options: object) => Queue>(queuePath)
  return new RequestQueue({ requestTimeout: 1_000, enforceRequestTimeout: false, clientId: 'c', broker: 'b', logger })
}

describe('the private copy of kafkajs', () => {
  it('is another set of modules than the kafkajs of the user, which keeps its own functions', () => {
    for (const path of [queuePath, connectionPath]) {
      const ours = fromOurs<{ prototype: Record<string, unknown> }>(path)
      const theirs = fromTheirs<{ prototype: Record<string, unknown> }>(path)
      expect(ours).not.toBe(theirs)
      const name = path === queuePath ? 'scheduleCheckPendingRequests' : 'connect'
      expect(ours.prototype[name]).not.toBe(theirs.prototype[name])
      expect(String(theirs.prototype[name])).toContain(path === queuePath ? 'throttledUntil' : 'createSocket')
    }
    const decodeMessages = 'protocol/requests/fetch/v4/decodeMessages.js'
    expect(String(fromTheirs(decodeMessages))).toBe(String(fromOurs(decodeMessages)))
  })

  it('sets no timer for a connection that has nothing to send', () => {
    const idle = newQueue(fromOurs)
    idle.scheduleCheckPendingRequests()
    expect(idle.throttleCheckTimeoutId).toBeNull()
    // What this is about: the same call on kafkajs as published.
    const published = newQueue(fromTheirs)
    published.scheduleCheckPendingRequests()
    expect(published.throttleCheckTimeoutId).not.toBeNull()
    published.destroy()
  })

  it('still comes back to requests that wait', () => {
    const queue = newQueue(fromOurs)
    queue.pending.push({})
    queue.scheduleCheckPendingRequests()
    expect(queue.throttleCheckTimeoutId).not.toBeNull()
    queue.destroy()
  })

  it('opens one socket for two requests that find a connection lost', async () => {
    const connect = (load: typeof fromOurs): number => {
      let sockets = 0
      const Connection = load<new (options: object) => { connect(): Promise<unknown> }>(connectionPath)
      const socket = { on: noop, end: noop, unref: noop }
      const socketFactory = (): object => {
        sockets++
        return socket
      }
      const options = { host: 'h', port: 1, logger, socketFactory, requestTimeout: 1_000, connectionTimeout: 1 }
      const connection = new Connection(options)
      void connection.connect().catch(noop)
      void connection.connect().catch(noop)
      return sockets
    }
    expect([connect(fromTheirs), connect(fromOurs)]).toEqual([2, 1])
  })

  it('keeps the other topics and partitions of a metadata answer when one has an error', async () => {
    const metadata = () => ({
      brokers: [],
      topicMetadata: [
        {
          topic: 'fine',
          topicErrorCode: 0,
          partitionMetadata: [
            { partitionErrorCode: 0, partitionId: 0, leader: 1 },
            { partitionErrorCode: 5, partitionId: 1, leader: 3 },
          ],
        },
        { topic: 'gone', topicErrorCode: 3, partitionMetadata: [] },
      ],
    })
    interface Response {
      parse(data: object): Promise<object>
    }
    await expect(fromTheirs<Response>(metadataPath).parse(metadata())).rejects.toThrow()
    expect(await fromOurs<Response>(metadataPath).parse(metadata())).toMatchObject({
      topicMetadata: [{ topic: 'fine', partitionMetadata: [{ leader: 1 }, { leader: -1 }] }],
      topicErrors: [{ topic: 'gone', code: 3 }],
    })
  })

  it('refuses a kafkajs that looks different, by name', () => {
    const changed = (path: string): never => {
      const module = path.includes('response') ? { parse: noop } : class {}
      return module as never
    }
    expect(() => patchKafkajs(changed)).toThrow(/no function "scheduleCheckPendingRequests".*[\s\S]*MR-KAFKA-CLIENT/)
  })
})
