import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Flags, readSettings } from '../../src/cli/settings.ts'
import { settingsTable } from '../../src/cli/settingsTable.ts'
import { SettingsError } from '../../src/core/errors.ts'
import {
  bufferRules,
  commitRules,
  errorRules,
  kafkaRules,
  postgresRules,
  saslRules,
  serviceRules,
  tlsRules,
} from '../../src/service/settingsRules.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'millrace-settings-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

interface Sources {
  readonly file?: unknown
  readonly env?: Readonly<Record<string, string>>
  readonly flags?: Flags
}

function read({ file, env = {}, flags = {} }: Sources) {
  if (file !== undefined) write('millrace.config.json', file)
  return readSettings({ flags, env, cwd })
}

function write(name: string, content: unknown): void {
  writeFileSync(join(cwd, name), typeof content === 'string' ? content : JSON.stringify(content))
}

function complaint(sources: Sources): string {
  try {
    read(sources)
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError)
    return (error as Error).message
  }
  return 'no complaint'
}

test('nothing set is nothing', () => {
  expect(read({})).toEqual({})
})

test('file, then environment, then flags: the last one counts', () => {
  const file = { group: 'file', logLevel: 'warn', commit: { maxItems: 1, everyMs: 1, maxBytes: 1 } }
  const env = { MILLRACE_GROUP: 'env', MILLRACE_COMMIT_MAX_ITEMS: '2', MILLRACE_COMMIT_EVERY_MS: '2', PATH: '/bin' }
  const flags = { '--group': 'flag', '--commit-max-items': '3' }
  expect(read({ file, env, flags })).toEqual({
    group: 'flag',
    logLevel: 'warn',
    commit: { maxItems: 3, everyMs: 2, maxBytes: 1 },
  })
})

test('every setting can be given in the environment and in the file', () => {
  for (const { path, env, rule } of settingsTable) {
    if (path.endsWith('File')) continue
    const text =
      path === 'from'
        ? 'latest'
        : rule.type === 'number'
          ? '5000'
          : rule.type === 'boolean'
            ? 'true'
            : rule.type === 'choice'
              ? rule.of[0]
              : 'x'
    const value =
      rule.type === 'number' ? 5_000 : rule.type === 'boolean' ? true : rule.type === 'strings' ? ['x'] : text
    const at = path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value)
    expect(read({ file: {}, env: { [env]: text as string } })).toEqual(at)
    expect(read({ file: at })).toEqual(at)
  }
})

test('the table has every setting that start() takes, but for what only code can give', () => {
  const paths = new Set(settingsTable.map(({ path }) => path))
  const expected = [
    ...Object.keys(serviceRules).filter(
      (name) =>
        !['kafka', 'postgres', 'commit', 'buffer', 'errors', 'client', 'writer', 'logger', 'signal'].includes(name),
    ),
    ...Object.keys(commitRules).map((name) => `commit.${name}`),
    ...Object.keys(bufferRules).map((name) => `buffer.${name}`),
    ...Object.keys(errorRules).map((name) => `errors.${name}`),
    ...Object.keys(kafkaRules)
      .filter((name) => name !== 'sasl')
      .map((name) => `kafka.${name}`),
    ...Object.keys(saslRules).map((name) => `kafka.sasl.${name}`),
    ...Object.keys(postgresRules).map((name) => `postgres.${name}`),
    ...['kafka', 'postgres'].flatMap((vendor) =>
      Object.keys(tlsRules).map(
        (name) => `${vendor}.ssl.${['ca', 'cert', 'key'].includes(name) ? `${name}File` : name}`,
      ),
    ),
    'logLevel',
  ]
  expect([...paths].sort()).toEqual(expected.sort())
})

test('brokers are separated by commas', () => {
  expect(read({ flags: { '--brokers': 'a:1, b:2' } })).toEqual({ kafka: { brokers: ['a:1', 'b:2'] } })
})

describe('from', () => {
  test.each([
    ['earliest', 'earliest'],
    ['latest', 'latest'],
    ['2026-11-01', new Date('2026-11-01T00:00Z')],
    ['2026-11-01T08:30+01:00', new Date('2026-11-01T07:30Z')],
    ['2026-11-01T08:30:15.5Z', new Date('2026-11-01T08:30:15.5Z')],
  ])('%s', (text, from) => {
    expect(read({ flags: { '--from': text } })).toEqual({ from })
  })

  test.each(['begin', '2026-13-01', '2026-11-01T08:30', '1', ''])('"%s" is refused', (text) => {
    expect(complaint({ flags: { '--from': text } })).toMatch(/"(from|--from)" must be/)
  })
})

describe('each wrong setting is named with the place it stands in', () => {
  test.each<[Sources, string]>([
    [
      { env: { MILLRACE_GRUOP: 'g' } },
      'the environment has no option "MILLRACE_GRUOP"; did you mean "MILLRACE_GROUP"?',
    ],
    [
      { env: { MILLRACE_COMMIT_MAX_ITEMS: 'many' } },
      'the environment: "MILLRACE_COMMIT_MAX_ITEMS" must be a whole number of at least 1, but is "many"',
    ],
    [{ env: { MILLRACE_COMMIT_MAX_ITEMS: '0' } }, 'must be a whole number of at least 1, but is 0'],
    [{ env: { MILLRACE_GROUP: '' } }, 'the environment: "MILLRACE_GROUP" must be a text that is not empty, but is ""'],
    [{ env: { MILLRACE_KAFKA_SSL: 'yes' } }, '"MILLRACE_KAFKA_SSL" must be a boolean, but is "yes"'],
    [
      { flags: { '--log-level': 'loud' } },
      'the command line: "--log-level" must be one of "debug", "info", "warn", "error", but is "loud"',
    ],
    [{ file: { grup: 'g' } }, 'millrace.config.json has no option "grup"; did you mean "group"?'],
    [
      { file: { kafka: { broker: ['a:1'] } } },
      'millrace.config.json: "kafka" has no option "broker"; did you mean "brokers"?',
    ],
    [
      { file: { kafka: { sasl: { usrname: 'u' } } } },
      'millrace.config.json: "kafka.sasl" has no option "usrname"; did you mean "username"?',
    ],
    [{ file: { kafka: [] } }, 'millrace.config.json: "kafka" must be an object, but is []'],
    [{ file: { postgres: 'postgres://h/d' } }, 'millrace.config.json: "postgres" must be an object'],
    [
      { file: { commit: { maxItems: '5' } } },
      'millrace.config.json: "commit": "maxItems" must be a whole number of at least 1, but is "5"',
    ],
    [{ file: { kafka: { ssl: 'on' } } }, 'millrace.config.json: "kafka": "ssl" must be a boolean, but is "on"'],
    [{ file: '{ "group": "g" ' }, 'millrace.config.json is no JSON'],
    [{ file: '[]' }, 'millrace.config.json holds no object'],
    [{ flags: { '--config': 'other.json' } }, 'other.json cannot be read'],
    [{ env: { MILLRACE_KAFKA_SSL_CA_FILE: 'none.pem' } }, 'the file of "kafka.ssl.caFile" cannot be read'],
  ])('%#', (sources, sentence) => {
    expect(complaint(sources)).toContain(sentence)
  })

  test('and a secret is never shown', () => {
    const complaints = [
      complaint({ file: { kafka: { sasl: { password: 4711 } } } }),
      complaint({ file: { postgres: { password: { is: 4711 } } } }),
      complaint({ file: { postgres: { url: ['postgres://u:4711@h/d'] } } }),
      complaint({ file: '{ "postgres": { "password": "4711' }),
    ]
    for (const text of complaints) {
      expect(text).not.toContain('4711')
      expect(text).toMatch(/must be a text|is no JSON/)
    }
  })
})

describe('the settings file', () => {
  test('may be named by a flag, else by a variable', () => {
    write('a.json', { group: 'a' })
    write('b.json', { group: 'b' })
    expect(
      read({ file: { group: 'default' }, flags: { '--config': 'a.json' }, env: { MILLRACE_CONFIG: 'b.json' } }),
    ).toEqual({ group: 'a' })
    expect(read({ env: { MILLRACE_CONFIG: 'b.json' } })).toEqual({ group: 'b' })
  })
})

describe('TLS', () => {
  beforeEach(() => write('ca.pem', 'CA'))

  test('is turned on by its details, which are read from files', () => {
    expect(read({ env: { MILLRACE_KAFKA_SSL_CA_FILE: 'ca.pem' } })).toEqual({ kafka: { ssl: { ca: 'CA' } } })
    expect(read({ file: { postgres: { ssl: { caFile: 'ca.pem', servername: 'db' } } } })).toEqual({
      postgres: { ssl: { ca: 'CA', servername: 'db' } },
    })
  })

  test('may be on without details', () => {
    expect(read({ env: { MILLRACE_KAFKA_SSL: 'true' } })).toEqual({ kafka: { ssl: true } })
  })

  test('stays off when it is turned off in so many words', () => {
    const file = { kafka: { ssl: { caFile: 'ca.pem' } } }
    expect(read({ file, env: { MILLRACE_KAFKA_SSL: 'false' } })).toEqual({ kafka: { ssl: false } })
    expect(read({ file, env: { MILLRACE_KAFKA_SSL: 'true' } })).toEqual({ kafka: { ssl: { ca: 'CA' } } })
  })
})
