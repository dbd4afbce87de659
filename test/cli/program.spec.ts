import { describe, expect, test } from 'vitest'
import { exitCodeTexts } from '../../src/cli/exitCodes.ts'
import { settingsTable } from '../../src/cli/settingsTable.ts'
import { here, millrace } from './_command.ts'

describe('help', () => {
  test('names the commands and what each exit code means', async () => {
    const { code, out } = await millrace(['--help'])
    expect(code).toBe(0)
    for (const name of ['run', 'describe', 'graph', 'progress', 'errors', 'resume', 'reparse']) {
      expect(out).toMatch(new RegExp(`^  ${name} `, 'm'))
    }
    for (const [exitCode, meaning] of exitCodeTexts) expect(out).toContain(`${exitCode.padEnd(9)} ${meaning}`)
    expect(out).not.toMatch(/^ {2}init /m)
  })

  test('of run names every setting, as flag and as variable', async () => {
    const { code, out } = await millrace(['run', '--help'])
    expect(code).toBe(0)
    for (const { env, flag } of settingsTable) {
      expect(out).toContain(`  ${env}\n`.replace(/^ {2}(?=M)/, flag === undefined ? '  ' : ' '))
      if (flag !== undefined) expect(out).toContain(`  ${flag} <`)
    }
  })

  test('is what a command line without a command gets, with an exit code that is not 0', async () => {
    const { code, err } = await millrace([])
    expect(code).toBe(2)
    expect(err).toContain('Usage: millrace')
  })
})

test('--version', async () => {
  expect(await millrace(['--version'])).toEqual({ code: 0, out: '0.1.0\n', err: '' })
})

describe('what is unknown is answered with the nearest name', () => {
  test.each([
    [['rnu', 'x.ts'], "millrace: unknown command 'rnu'\n(Did you mean run?)\n"],
    [['run', 'x.ts', '--grop', 'g'], "millrace: unknown option '--grop'\n(Did you mean --group?)\n"],
    [['progress', 'shw'], "millrace: unknown command 'shw'\n(Did you mean show?)\n"],
  ])('%s', async (args, err) => {
    expect(await millrace(args)).toEqual({ code: 2, out: '', err })
  })

  test('a missing argument is named', async () => {
    expect(await millrace(['run'])).toMatchObject({ code: 2, err: "millrace: missing required argument 'file'\n" })
    expect(await millrace(['progress', 'set', '--group', 'g'])).toMatchObject({
      code: 2,
      err: "millrace: required option '--to <offset>' not specified\n",
    })
  })
})

test.each([['init', ['init']]])('%s is not in this release, and says so', async (name, args) => {
  const { code, err } = await millrace(args)
  expect(code).toBe(2)
  expect(err).toBe(
    `millrace: "millrace ${name}" is not in this release\n  See "millrace --help" for what is.  MR-CLI-LATER\n`,
  )
})

test('--web is not in this release, and says so', async () => {
  expect(await millrace(['run', 'plans/goodPlan.ts', '--web', '4400'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('"--web" is not in this release'),
  })
})

describe('describe and graph', () => {
  test('print a plan', async () => {
    expect(await millrace(['describe', 'plans/goodPlan.ts'])).toEqual({
      code: 0,
      err: '',
      out: [
        'stream "seen"',
        '  from:things          topic things, json',
        '  filter',
        '  to:things            table things',
        '',
      ].join('\n'),
    })
    const { code, out } = await millrace(['graph', 'plans/goodPlan.ts'])
    expect(code).toBe(0)
    expect(out).toMatch(/^flowchart LR\n/)
  })

  test.each([
    ['plans/nothing.ts', [`there is no file ${here}plans/nothing.ts`, 'MR-CLI-FILE']],
    ['plans/namedPlan.ts', ['plans/namedPlan.ts has no default export', 'It exports things.', 'MR-CLI-EXPORT']],
    [
      'plans/throwsPlan.ts',
      [
        'plans/throwsPlan.ts cannot be loaded',
        'TypeError: there are no rates for today',
        'at readRates',
        'MR-CLI-LOAD',
      ],
    ],
    ['plans/wrongPlan.ts', ['entry 1 of the plan is no stream', 'MR-PLAN-NOT-A-STREAM']],
    ['plans/twoSourcesPlan.ts', ['two streams are called "same" but begin at different sources', 'MR-PLAN-SOURCE']],
  ])('say what is wrong with %s', async (file, sentences) => {
    const { code, err, out } = await millrace(['describe', file])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    for (const sentence of sentences) expect(err).toContain(sentence)
    expect(err).not.toContain('node:internal')
  })
})

describe('run without', () => {
  const given = { MILLRACE_GROUP: 'g', MILLRACE_KAFKA_BROKERS: 'h:1', MILLRACE_POSTGRES_URL: 'postgres://h/d' }
  test.each([
    ['MILLRACE_GROUP', 'a consumer group is missing', '--group'],
    ['MILLRACE_KAFKA_BROKERS', 'the address of Kafka is missing', '--brokers'],
    ['MILLRACE_POSTGRES_URL', 'the address of Postgres is missing', '--database'],
  ])('%s says where to give it', async (name, sentence, flag) => {
    const env = Object.fromEntries(Object.entries(given).filter(([known]) => known !== name))
    const { code, err } = await millrace(['run', 'plans/goodPlan.ts'], env)
    expect(code).toBe(2)
    expect(err).toContain(sentence)
    expect(err).toContain(flag)
    expect(err).toContain(name)
  })
})

test('progress refuses what is no number', async () => {
  const { code, err } = await millrace([
    'progress',
    'set',
    '--group',
    'g',
    '--to',
    '-1',
    '--database',
    'postgres://h/d',
  ])
  expect({ code, err }).toEqual({
    code: 2,
    err: 'millrace: --to must be a whole number of at least 0, but is "-1"  MR-CLI-SETTING\n',
  })
})

describe('errors refuses', () => {
  const given = { MILLRACE_GROUP: 'g', MILLRACE_POSTGRES_URL: 'postgres://h/d' }
  test.each([
    [['list', '--state', 'opne'], '--state must be all, or some of open, deferred, parked, replaying, done, ignored'],
    [
      ['list', '--fingerprint', 'xyz'],
      '--fingerprint must be the first hexadecimal digits of one, up to 16, but is "xyz"',
    ],
    [['list', '--since', 'yesterday'], '--since must be a time or how long ago it was, but is "yesterday"'],
    [['list', '--since', '2026-11-01T08:30'], '--since must be a time or how long ago it was'],
    [['list', '--until', '5y'], '--until must be a time or how long ago it was'],
    [['list', '--partition', '-1'], '--partition must be a whole number of at least 0, but is "-1"'],
    [['list', '--limit', 'all'], '--limit must be a whole number of at least 0, but is "all"'],
    [['replay', '--id', '1,x'], '--id must be a whole number of at least 0, but is "x"'],
    [['show', 'x'], 'ID must be a whole number of at least 0, but is "x"'],
    [['prune', '--older-than', 'forever'], '--older-than must be a time or how long ago it was'],
    [['delete'], "required option '--key <key>' not specified"],
    [['replya'], "unknown command 'replya'\n(Did you mean replay?)"],
  ])('%s', async (args, sentence) => {
    const { code, out, err } = await millrace(['errors', ...args], given)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(sentence)
  })

  test('to guess a group or a database', async () => {
    expect((await millrace(['errors', 'list'], { MILLRACE_POSTGRES_URL: 'postgres://h/d' })).err).toContain(
      'a consumer group is missing',
    )
    expect((await millrace(['resume'], { MILLRACE_GROUP: 'g' })).err).toContain('the address of Postgres is missing')
  })
})
