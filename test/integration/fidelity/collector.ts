/** Plays what a script does to the error collector. */

import { systemClock } from '../../../src/core/clock.ts'
import type { Claim, CollectedItem, CommitRequest, Settlement, WaitingItem } from '../../../src/core/store.ts'
import { inTransactionMatchCollected } from '../../../src/postgres/collectedBefore.ts'
import { inTransactionCollect, inTransactionSettle } from '../../../src/postgres/collector.ts'
import type { Link } from '../../../src/postgres/connections.ts'
import { executeChange, planChange } from '../../../src/postgres/errorsChange.ts'
import { readHeld, readWaitingItems, readWaitingTasks } from '../../../src/postgres/waitingItems.ts'
import type { Action, CollectedLine } from './script.ts'

const task = { app: 'app', stream: 'orders', partition: 0 }
const maxValueBytes = 2 ** 20
const anHour = 3_600_000

type CollectorAction = Extract<
  Action,
  { readonly kind: 'collect' | 'take' | 'settle' | 'fail again' | 'match' | 'waiting' | 'held' | 'ask' }
>

export class CollectorPlayer {
  /** What each connection has taken last. */
  readonly #taken = new Map<Link, readonly WaitingItem[]>()

  /** @param isAlone whether no transaction is open: who asks for something would wait for its end */
  async run(link: Link, action: CollectorAction, isAlone: boolean): Promise<string> {
    switch (action.kind) {
      case 'collect':
        await inTransactionCollect(link, task.app, action.items.map(itemOf), maxValueBytes)
        return 'collected'
      case 'take': {
        const items = await readWaitingItems(link, task, action.limit)
        this.#taken.set(link, items)
        return items
          .map(({ kind, offset, key, attempts, remembered }) => [kind, offset, key, attempts, remembered].join(' '))
          .join(', ')
      }
      case 'settle': {
        const id = this.#idOf(link, action.which)
        if (id === undefined) return 'nothing was taken'
        await inTransactionSettle(link, [{ id, outcome: action.outcome }], maxValueBytes)
        return 'settled'
      }
      case 'fail again': {
        const id = this.#idOf(link, action.which)
        const taken = this.#taken.get(link)?.[action.which]
        if (id === undefined || taken === undefined) return 'nothing was taken'
        const key = taken.key === null ? null : taken.key.toString()
        const failure = { ...itemOf({ offset: taken.offset, key, state: action.state }), attempts: taken.attempts + 1 }
        await inTransactionSettle(link, [{ id, outcome: 'failed', failure }], maxValueBytes)
        return 'kept'
      }
      case 'match':
        return matched(link, action)
      case 'waiting':
        return JSON.stringify(await readWaitingTasks(link, task.app))
      case 'held': {
        const { keys, parked } = await readHeld(link, task)
        return `${keys.toSorted().join(' ')}, ${parked} parked`
      }
      case 'ask': {
        if (!isAlone) return 'somebody is at work'
        const plan = await planChange(link, action.action, { app: task.app, states: action.states })
        const { items, left, groups } = plan
        const changed = await executeChange(link, plan, systemClock)
        return JSON.stringify({ items, left: Object.entries(left).sort(), groups: groups.length, changed })
      }
      default:
        return action satisfies never
    }
  }

  #idOf(link: Link, which: number): string | undefined {
    return this.#taken.get(link)?.[which]?.id
  }
}

async function matched(link: Link, { standing, failed }: Extract<Action, { kind: 'match' }>): Promise<string> {
  const request = {
    claim: { task } as Claim,
    again: true,
    collected: [itemOf({ offset: failed, key: null, state: 'open' })],
    settled: [],
    position: (owner: number) => (owner === failed ? undefined : owner),
    origins: {
      stream: task.stream,
      topic: 'orders',
      *standing() {
        for (const offset of standing) yield { owner: offset, stream: task.stream, offset }
      },
    },
  } as unknown as CommitRequest
  const { collected, settled } = await inTransactionMatchCollected(link, request)
  await inTransactionSettle(link, settled, maxValueBytes)
  return `${collected.length} new, ${settled.map(textOf).join(' ')}`
}

function textOf({ outcome, failure }: Settlement): string {
  return failure === undefined ? outcome : `${outcome} at ${failure.offset} after ${failure.attempts}`
}

function itemOf({ offset, key, state }: CollectedLine): CollectedItem {
  const isPutOff = state === 'due' || state === 'later'
  return {
    stream: task.stream,
    taskStream: task.stream,
    step: 'map',
    topic: 'orders',
    partition: task.partition,
    offset,
    timestamp: null,
    key: key === null ? null : Buffer.from(key),
    value: Buffer.from('value'),
    headers: [],
    error: { name: 'Error', message: `failed ${state}`, code: null, stack: null },
    attempts: state === 'parked' ? 0 : 1,
    state: isPutOff ? 'deferred' : state,
    retryInMs: isPutOff ? (state === 'due' ? 0 : anHour) : null,
    remembered: isPutOff ? 'answers' : null,
  }
}
