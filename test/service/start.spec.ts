import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { json, start, stream, table, topic } from '../../src/index.ts'
import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'
import { createLog } from './_member.ts'

const plan = () => stream('s').from(topic('t', json<{ id: number }>())).to(table<{ id: number }>('out'))

/** An address where nothing listens. */
async function nowhere(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return `127.0.0.1:${port}`
}

test('a database that is not there is an error, and steps that were forgotten are named', async () => {
  const flights = stream('forgetful').from(topic('t', json<{ id: number }>()))
  const forgotten = flights.to(table<{ id: number }>('nowhere'))
  const { log, lines } = createLog()
  const at = await nowhere()
  const settings = {
    group: 'g',
    client: createMemoryBroker().client('g'),
    postgres: { url: `postgres://u:geheim@${at}/d` },
    logger: log,
  }
  const error = await start(plan(), settings).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'MR-PG-UNREACHABLE' })
  expect(String(error)).toContain(at)
  expect(String(error)).not.toContain('geheim')
  expect(lines.filter(({ level }) => level === 'warn').flatMap(({ fields }) => fields.steps)).toContain(
    'forgetful: to:nowhere',
  )
  expect(forgotten.name).toBe('forgetful')
})

test('a signal that has aborted stops it before it begins', async () => {
  const signal = AbortSignal.abort(new Error('no time'))
  const settings = {
    group: 'g',
    kafka: { brokers: ['127.0.0.1:1'] },
    postgres: { url: 'postgres://127.0.0.1:1/d' },
    signal,
  }
  await expect(start(plan(), settings)).rejects.toThrow('no time')
})

test('a signal that aborts during the start ends it without waiting for the database', async () => {
  // It accepts connections and never answers.
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  const { port } = silent.address() as { port: number }
  const abort = new AbortController()
  silent.once('connection', () => abort.abort(new Error('no time')))
  const settings = {
    group: 'g',
    client: createMemoryBroker().client('g'),
    postgres: { url: `postgres://127.0.0.1:${port}/d`, connectTimeoutMs: 1_000_000 },
    signal: abort.signal,
  }
  await expect(start(plan(), settings)).rejects.toThrow('no time')
  silent.close()
}, 20_000)

test('an empty plan is an error before anything else is looked at', async () => {
  await expect(start([], {} as never)).rejects.toMatchObject({ code: 'MR-PLAN-EMPTY' })
})
