/** millrace's own tables as the model knows them. */
import { schemaSteps } from '../../src/postgres/migrations.ts'
import type { TableModel } from './modelTable.ts'

export const progressTable: TableModel = {
  name: 'millrace.progress',
  columns: {
    app: 'text',
    stream: 'text',
    source: 'text',
    partition: 'integer',
    next_offset: 'bigint',
    version: 'bigint',
    owner: 'text',
    fingerprint: 'text',
    budget: 'text',
    halted: 'text',
    halted_plan: 'text',
    watermarks: 'text',
  },
  uniques: [['app', 'stream', 'source', 'partition']],
}

/** The columns of the collector, in the order in which the insert gives them. */
export const collectorColumns = [
  ...['stream', 'task_stream', 'step', 'topic', 'partition', 'record_offset', 'record_timestamp', 'key', 'value'],
  ...[
    'cut_from',
    'header_keys',
    'header_values',
    'error_name',
    'error_message',
    'error_code',
    'error_stack',
    'at_line',
  ],
  ...['fingerprint', 'attempts', 'state', 'remembered', 'retry_in_ms'],
]

export const collectorTable: TableModel = {
  name: 'millrace.errors',
  columns: Object.fromEntries(
    ['id', 'app', 'retry_at', 'history', 'settled_at', 'collected_at', ...collectorColumns].map((name) => [
      name,
      'text' as const,
    ]),
  ),
}

export const plansTable: TableModel = {
  name: 'millrace.plans',
  columns: { app: 'text', stream: 'text', hash: 'text', description: 'text', order_steps: 'text' },
  uniques: [['app', 'stream']],
}

export const stateStepsTable: TableModel = {
  name: 'millrace.state_steps',
  columns: { id: 'integer', app: 'text', stream: 'text', step: 'text', shape: 'text', encoding: 'integer' },
}

export const stateTable: TableModel = {
  name: 'millrace.state',
  columns: {
    step: 'integer',
    partition: 'integer',
    key: 'text',
    at: 'bigint',
    value: 'text',
    due: 'bigint',
    version: 'bigint',
  },
}

export const emittersTable: TableModel = {
  name: 'millrace.emitters',
  columns: { id: 'integer', app: 'text', stream: 'text', partition: 'integer', sequence: 'bigint' },
}

export const outboxTable: TableModel = {
  name: 'millrace.outbox',
  columns: {
    emitter: 'integer',
    sequence: 'bigint',
    topic: 'text',
    partition: 'integer',
    key: 'text',
    value: 'text',
    at: 'bigint',
    headers: 'text',
  },
  uniques: [['emitter', 'sequence']],
}

/** Names that were locked once. */
export const advisoryLocks: TableModel = { name: 'pg_locks', columns: { name: 'text' } }

/** Filled with what `migrate` would have noted: the schema is there. */
export const migrationsTable: TableModel = { name: 'millrace.migrations', columns: { name: 'text' } }

export const migrationNames: readonly string[] = schemaSteps.map(({ name }) => name)
