import { MemoryStore } from '../../src/testing/memoryStore.ts'
import { collectorContract } from '../contracts/collector.ts'
import { outboxContract } from '../contracts/outbox.ts'
import { stateContract } from '../contracts/state.ts'
import { type StoreHarness, storeContract } from '../contracts/store.ts'

const openHarness = async (): Promise<StoreHarness> => {
  const store = new MemoryStore({
    refuses(table, row, present) {
      if (table !== 'contract_rows') return undefined
      if (typeof row.size === 'number' && row.size < 0) return '23514'
      return present.some(({ id }) => id === row.id) ? '23505' : undefined
    },
  })
  return {
    openStore: async () => store,
    rows: async (table) => store.rows(table),
    collected: async () =>
      store.collected.map(({ offset, value, error }) => ({ offset, value, message: error.message })),
    kept: async () =>
      store.collector.kept.map(({ item, state, history }) => {
        const { offset, attempts, error } = item
        return { offset, state, message: error.message, attempts, former: history.map(({ message }) => message) }
      }),
    async askForReplay(offset) {
      for (const kept of store.collector.kept) if (kept.item.offset === offset) kept.state = 'replaying'
    },
    close: () => store.close(),
  }
}

storeContract('the memory store', openHarness)
stateContract('the memory store', openHarness)
outboxContract('the memory store', openHarness)
collectorContract('the memory store', openHarness)
