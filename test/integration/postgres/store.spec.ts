import type { Store } from '../../../src/core/store.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { collectorContract } from '../../contracts/collector.ts'
import { outboxContract } from '../../contracts/outbox.ts'
import { stateContract } from '../../contracts/state.ts'
import { type StoreHarness, storeContract } from '../../contracts/store.ts'
import { freshDatabase } from '../../support/services.ts'

// A database takes longer to make than a test to run, so the file has one, emptied for each test.
const database = await freshDatabase()
const first = createPostgresStore({ url: database.url })
await first.open([])
await first.close()

async function openHarness(): Promise<StoreHarness> {
  await database.query(
    'truncate millrace.progress, millrace.errors, millrace.plans, millrace.state, millrace.state_steps, millrace.emitters, millrace.outbox; drop table if exists contract_rows, contract_totals',
  )
  const stores: Store[] = []
  return {
    async openStore(sinks) {
      const store = createPostgresStore({ url: database.url })
      stores.push(store)
      await store.open(sinks)
      return store
    },
    rows: (table) => database.query(`select * from ${table}`),
    async collected() {
      const rows = await database.query<{ record_offset: string; value: Buffer | null; error_message: string }>(
        'select record_offset, value, error_message from millrace.errors order by id',
      )
      return rows.map(({ record_offset, value, error_message }) => ({
        offset: Number(record_offset),
        value,
        message: error_message,
      }))
    },
    kept: () =>
      database.query(
        `select record_offset::int as offset, state, error_message as message, attempts,
           array(select failure ->> 'message' from jsonb_array_elements(history) failure) as former
         from millrace.errors order by id`,
      ),
    async askForReplay(offset) {
      await database.query("update millrace.errors set state = 'replaying' where record_offset = $1", [offset])
    },
    async close() {
      for (const store of stores) await store.close()
    },
  }
}

storeContract('the Postgres store', openHarness)
stateContract('the Postgres store', openHarness)
outboxContract('the Postgres store', openHarness)
collectorContract('the Postgres store', openHarness)
