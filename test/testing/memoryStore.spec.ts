import { MemoryStore } from '../../src/testing/memoryStore.ts'
import { type StoreHarness, storeContract } from '../contracts/store.ts'

storeContract('the memory store', async (): Promise<StoreHarness> => {
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
    close: () => store.close(),
  }
})
