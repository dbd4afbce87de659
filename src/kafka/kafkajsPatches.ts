/**
 * Everything that is changed inside the private copy of kafkajs 2.2.4, each with its reason. Applied once, when the
 * copy is loaded. A place that does not look as expected is an error, never a patch that silently does nothing.
 */
import { InternalError } from '../core/errors.ts'

type Load = (path: string) => never

/** Applies all patches. `load` answers with a module of the private copy by its path in the package. */
export function patchKafkajs(load: Load): void {
  stopIdleTimers(load('src/network/requestQueue/index.js'))
  shareConnecting(load('src/network/connection.js'))
  keepOtherPartitions(load('src/protocol/requests/metadata/v6/response.js'))
}

interface RequestQueue {
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests(): void
}

/**
 * A queue that is not throttled has `throttledUntil = -1`, so the check for pending requests is scheduled at a
 * negative time, runs after 1 ms, finds nothing and schedules itself again: about 2% of a core for each idle
 * connection, and TimeoutNegativeWarning on newer Node (kafkajs#1751). With nothing pending there is nothing to
 * check: push() and fulfillRequest() both ask again.
 */
function stopIdleTimers(RequestQueueClass: { prototype: RequestQueue }): void {
  const original = expectFunction(RequestQueueClass.prototype, 'scheduleCheckPendingRequests')
  RequestQueueClass.prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) original.call(this)
  }
}

interface Connection {
  connect(): Promise<unknown>
}

/**
 * Two requests on a connection that was lost both find it disconnected and both open a socket; the first socket is
 * forgotten, stays open, and closes the connection of the second when it ends. Here they share one attempt.
 */
function shareConnecting(ConnectionClass: { prototype: Connection }): void {
  const original = expectFunction(ConnectionClass.prototype, 'connect')
  const connecting = new WeakMap<Connection, Promise<unknown>>()
  ConnectionClass.prototype.connect = function (this: Connection) {
    const running = connecting.get(this)
    if (running !== undefined) return running
    const attempt = (original.call(this) as Promise<unknown>).finally(() => connecting.delete(this))
    connecting.set(this, attempt)
    return attempt
  }
}

interface DecodedTopic {
  readonly topic: string
  readonly topicErrorCode: number
  readonly partitionMetadata: readonly { partitionErrorCode: number; leader: number }[]
}

interface DecodedMetadata {
  topicMetadata: readonly DecodedTopic[]
  topicErrors?: readonly { readonly topic: string; readonly code: number }[]
}

interface MetadataResponse {
  parse(data: DecodedMetadata): Promise<unknown>
}

/**
 * One topic that was deleted, or one partition without a leader, makes the whole metadata answer fail, and with it all
 * other partitions that look for a new leader. Here such a topic stands in `topicErrors` and such a partition has the
 * leader -1, which is what the broker answered, and only they wait.
 * Version 6 is the one that is spoken with every broker that also has the fetch request that we need (2.3 and newer).
 */
function keepOtherPartitions(response: MetadataResponse): void {
  const original = expectFunction(response, 'parse')
  response.parse = (data) => {
    const failed = data.topicMetadata.filter(({ topicErrorCode }) => topicErrorCode !== 0)
    data.topicErrors = failed.map(({ topic, topicErrorCode }) => ({ topic, code: topicErrorCode }))
    data.topicMetadata = data.topicMetadata.filter(({ topicErrorCode }) => topicErrorCode === 0)
    for (const partition of data.topicMetadata.flatMap(({ partitionMetadata }) => partitionMetadata)) {
      if (partition.partitionErrorCode !== 0) partition.leader = -1
      partition.partitionErrorCode = 0
    }
    return original.call(response, data) as Promise<unknown>
  }
}

function expectFunction<T extends object>(owner: T, name: keyof T & string): (...args: unknown[]) => unknown {
  const found = owner[name]
  if (typeof found === 'function') return found as unknown as (...args: unknown[]) => unknown
  throw new InternalError('MR-KAFKA-CLIENT', {
    what: `kafkajs has no function "${name}" where it is to be patched`,
    why: 'The private copy "millrace-kafkajs" is not kafkajs 2.2.4 as published.',
    fix: 'Install the dependencies again from a clean folder.',
  })
}
