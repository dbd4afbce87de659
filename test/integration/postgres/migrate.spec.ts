import { expect, it } from 'vitest'
import { schemaSql, schemaSteps } from '../../../src/postgres/migrations.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member } from './member.ts'

/** Everything that the schema consists of, as text. */
const shapeQuery = `
  select 'column' as kind, table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') as what
    from information_schema.columns where table_schema = 'millrace'
  union all
  select 'constraint', conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = 'millrace'::regnamespace
  union all
  select 'function', pg_get_functiondef(oid) from pg_proc where pronamespace = 'millrace'::regnamespace
  order by 1, 2`

async function openOn(url: string): Promise<void> {
  const store = createPostgresStore({ url })
  await store.open([])
  await Member.claim(store, [])
  await store.close()
}

it('makes the same schema by itself as from the printed SQL', async () => {
  const [byItself, printed] = [await freshDatabase(), await freshDatabase(schemaSql())]
  await openOn(byItself.url)
  expect(await printed.query(shapeQuery)).toEqual(await byItself.query(shapeQuery))
  // Where the printed SQL was applied, there is nothing left to do.
  await openOn(printed.url)
  const names = await printed.query<{ name: string }>('select name from millrace.migrations order by id')
  expect(names.map(({ name }) => name)).toEqual(schemaSteps.map(({ name }) => name))
})

it('makes it once when many start together', async () => {
  const database = await freshDatabase()
  await Promise.all(Array.from({ length: 5 }, () => openOn(database.url)))
  expect(await database.query('select name from millrace.migrations')).toHaveLength(schemaSteps.length)
})
