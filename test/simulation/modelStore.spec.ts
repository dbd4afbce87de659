import { systemClock } from '../../src/core/clock.ts'
import type { Store } from '../../src/core/store.ts'
import { collectorContract } from '../contracts/collector.ts'
import { outboxContract } from '../contracts/outbox.ts'
import { stateContract } from '../contracts/state.ts'
import { type StoreHarness, storeContract } from '../contracts/store.ts'
import { ModelDatabase } from './modelDatabase.ts'
import { ModelServer, type Peer } from './modelServer.ts'
import { modelStore } from './modelStore.ts'
import type { TableModel, Values } from './modelTable.ts'

const tables: readonly TableModel[] = [
  {
    name: 'contract_rows',
    columns: { id: 'integer', label: 'text', size: 'integer' },
    notNull: ['id'],
    uniques: [['id']],
    checks: [{ name: 'size', holds: ({ size }) => size === null || Number(size) >= 0 }],
  },
  {
    name: 'contract_totals',
    columns: { k: 'text', n: 'integer', low: 'integer', high: 'integer', first: 'text', last: 'text' },
    uniques: [['k']],
  },
]

const numbers = new Set(['id', 'size', 'n', 'low', 'high'])

async function openHarness(): Promise<StoreHarness> {
  const database = new ModelDatabase(tables)
  const server = new ModelServer(database, { clock: systemClock, latency: () => 0, note: () => {}, broken })
  function broken(error: unknown): void {
    throw error
  }
  const peer: Peer = { name: 'test', deliver: (callback) => callback(), fateOf: () => undefined, kill: () => {} }
  const stores: Store[] = []
  return {
    async openStore(sinks) {
      const store = modelStore(server, peer, systemClock)
      stores.push(store)
      await store.open(sinks)
      return store
    },
    rows: async (table) => database.rows(table).map(parsed),
    collected: async () =>
      database.rows('millrace.errors').map(({ record_offset, value = null, error_message }) => ({
        offset: Number(record_offset),
        value: value === null ? null : Buffer.from(value.slice(2), 'hex'),
        message: error_message ?? '',
      })),
    kept: async () =>
      database.rows('millrace.errors').map(({ record_offset, state, error_message, attempts, history }) => ({
        offset: Number(record_offset),
        state: String(state),
        message: error_message ?? '',
        attempts: Number(attempts),
        former: (JSON.parse(history ?? '[]') as { message: string }[]).map(({ message }) => message),
      })),
    async askForReplay(offset) {
      for (const row of database.table('millrace.errors').rows) {
        if (Number(row.committed?.record_offset) === offset) row.committed = { ...row.committed, state: 'replaying' }
      }
    },
    async close() {
      for (const store of stores) await store.close()
    },
  }
}

function parsed(row: Values): object {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value !== null && numbers.has(name) ? Number(value) : value]),
  )
}

storeContract('the store over the modelled Postgres', openHarness)
collectorContract('the store over the modelled Postgres', openHarness)
stateContract('the store over the modelled Postgres', openHarness)
outboxContract('the store over the modelled Postgres', openHarness)
