import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { expect, test } from 'vitest'
import { startPostgres } from '../../dev/services/index.ts'
import { until } from '../support/until.ts'

const answers = async (url: string): Promise<boolean> => {
  const client = new pg.Client(url)
  client.on('error', () => undefined)
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  )
}

test('a service does not outlive the process that started it, even one that was killed', async () => {
  const index = new URL('../../dev/services/index.ts', import.meta.url).href
  const program = `
    const { startPostgres } = await import('${index}')
    const { url } = await startPostgres()
    const { default: pg } = await import('pg')
    const client = new pg.Client(url)
    await client.connect()
    const { rows } = await client.query('show data_directory')
    console.log(JSON.stringify({ url, data: rows[0].data_directory }))
    setInterval(() => {}, 1_000)`
  const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(parent, 'exit').then(([code]) => Promise.reject(new Error(`it ended with exit code ${code}`)))
  const [line] = (await Promise.race([once(createInterface({ input: parent.stdout }), 'line'), ended])) as [string]
  const { url, data } = JSON.parse(line) as { url: string; data: string }
  expect(await answers(url)).toBe(true)
  expect(existsSync(data)).toBe(true)

  parent.kill('SIGKILL')
  await until(
    'the database is gone, and its folder with it',
    async () => !(await answers(url)) && !existsSync(data),
    20_000,
  )
})

test('Postgres comes back after a crash with what it had confirmed', async () => {
  const postgres = await startPostgres()
  const query = async (sql: string) => {
    const client = new pg.Client(postgres.url)
    await client.connect()
    const { rows } = await client.query(sql)
    await client.end()
    return rows
  }
  await query('create table kept as select 1 as a')
  await postgres.kill()
  expect(await answers(postgres.url)).toBe(false)
  await postgres.restart()
  expect(await query('select a from kept')).toEqual([{ a: 1 }])
  await postgres.stop()
  expect(await answers(postgres.url)).toBe(false)
})
