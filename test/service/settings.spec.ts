import { describe, expect, test } from 'vitest'
import { SettingsError } from '../../src/core/errors.ts'
import { defaults, resolveSettings, type StartSettings } from '../../src/service/settings.ts'
import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'

const good = { group: 'g', kafka: { brokers: ['localhost:9092'] }, postgres: { url: 'postgres://u@h/d' } }

/** What is said about settings that the types would not let through. */
function complaint(settings: object): string {
  try {
    resolveSettings(settings as StartSettings)
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError)
    return (error as Error).message
  }
  return 'no complaint'
}

test('defaults are filled in, also for what is there but undefined', () => {
  const settings = resolveSettings({
    ...good,
    commit: { maxItems: 7, everyMs: undefined } as object,
    stallAfterMs: undefined,
  })
  expect(settings).toMatchObject({
    commit: { ...defaults.commit, maxItems: 7 },
    buffer: defaults.buffer,
    stateKeys: 100_000,
    stallAfterMs: 300_000,
    from: undefined,
  })
})

describe('each wrong setting is named', () => {
  test.each([
    [{ ...good, grup: 'x' }, 'start() has no option "grup"; did you mean "group"?'],
    [{ ...good, group: '' }, 'start(): "group" must be a text that is not empty, but is ""'],
    [{ ...good, group: undefined }, 'start() needs "group"'],
    [{ ...good, from: 'begin' }, 'start(): "from" must be "earliest", "latest" or a Date, but is "begin"'],
    [{ ...good, from: new Date('no') }, 'start(): "from" must be "earliest", "latest" or a Date, but is null'],
    [{ ...good, kafka: undefined }, 'start() needs "kafka"'],
    [{ ...good, client: createMemoryBroker().client('g') }, 'start() takes "kafka" or "client", not both'],
    [{ ...good, kafka: {} }, 'start(): "kafka" needs "brokers"'],
    [{ ...good, kafka: { ...good.kafka, sesionTimeoutMs: 1 } }, 'did you mean "sessionTimeoutMs"?'],
    [{ ...good, kafka: { ...good.kafka, ssl: { cafile: 'x' } } }, 'start(): "kafka.ssl" has no option "cafile"'],
    [{ ...good, kafka: { ...good.kafka, ssl: 'yes' } }, '"ssl" must be an object, but is "yes"'],
    [
      { ...good, kafka: { ...good.kafka, sasl: { mechanism: 'scram', username: 'u', password: 'p' } } },
      '"mechanism" must be one of',
    ],
    [
      { ...good, kafka: { ...good.kafka, sasl: { mechanism: 'plain', username: 'u' } } },
      'start(): "kafka.sasl" needs "password"',
    ],
    [{ ...good, postgres: {} }, 'start(): "postgres" needs "url", or "host" and what else it takes'],
    [{ ...good, postgres: { url: 'postgres://h/d', pool: 3 } }, 'start(): "postgres" has no option "pool"'],
    [
      { ...good, commit: { maxItems: 0 } },
      'start(): "commit": "maxItems" must be a whole number of at least 1, but is 0',
    ],
    [
      { ...good, buffer: { maxBytes: 0.5 } },
      'start(): "buffer": "maxBytes" must be a whole number of at least 1, but is 0.5',
    ],
    [{ ...good, stateKeys: 0 }, 'start(): "stateKeys" must be a whole number of at least 1, but is 0'],
    [{ ...good, stallAfterMs: 5 }, 'start(): "stallAfterMs" must be a whole number of at least 1000, but is 5'],
  ])('%#', (settings, sentence) => {
    expect(complaint(settings)).toContain(`${sentence}`)
  })

  test('and a secret is never shown', () => {
    for (const settings of [
      { ...good, postgres: { host: 'h', password: 4711 } },
      { ...good, postgres: { url: { password: 4711 } } },
      { ...good, postgres: { host: 'h', password: '4711\0' } },
      { ...good, kafka: { ...good.kafka, sasl: { mechanism: 'plain', username: 'u', password: '4711\ud800' } } },
      { ...good, kafka: { ...good.kafka, sasl: { mechanism: 'plain', username: 'u', password: 4711 } } },
    ]) {
      expect(complaint(settings)).toContain('must be a text')
      expect(complaint(settings)).not.toContain('4711')
    }
  })
})

describe('parts beside a URL of Postgres', () => {
  const urlOf = (postgres: StartSettings['postgres']) => resolveSettings({ ...good, postgres }).postgres.url

  test('take the place of what it says', () => {
    expect(urlOf({ url: 'postgres://u@h:5/d?sslmode=require', password: 'a b@/' })).toBe(
      'postgres://u:a%20b%40%2F@h:5/d?sslmode=require',
    )
    expect(urlOf({ url: 'postgres://u:p@h:5/d', host: 'other', port: 6, user: 'me', database: 'x' })).toBe(
      'postgres://me:p@other:6/x',
    )
  })

  test('are refused where they would be lost', () => {
    expect(complaint({ ...good, postgres: { url: 'postgres:///d?host=/run', password: 'p' } })).toContain(
      'cannot be put into a URL without a host',
    )
  })

  test('leave a URL alone when there are none, also one that cannot be read', () => {
    expect(urlOf({ url: 'postgres://u:p@h/d', poolSize: 2 })).toBe('postgres://u:p@h/d')
    expect(urlOf({ url: 'nonsense', password: 'p' })).toBe('nonsense')
  })
})
