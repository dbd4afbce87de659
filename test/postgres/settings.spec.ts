import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { SettingsError } from '../../src/core/errors.ts'
import { postgresTarget } from '../../src/postgres/settings.ts'

describe('postgresTarget', () => {
  it('fills in defaults, and names the server without the password', () => {
    const target = postgresTarget({ url: 'postgres://me:secret@db:5433/flights' })
    expect(target).toMatchObject({
      name: 'db:5433/flights',
      user: 'me',
      poolSize: 4,
      connectTimeoutMs: 10_000,
      lockTimeoutMs: 20_000,
      statementTimeoutMs: 30_000,
      idleInTransactionTimeoutMs: 10_000,
    })
  })

  it('takes the parts in place of a URL', () => {
    expect(postgresTarget({ host: 'db', port: 1, user: 'me', password: 'p', database: 'd' }).name).toBe('db:1/d')
  })

  it.each(['flights', 'http://db/flights', 'postgres://me:se%cret@db:x/flights'])(
    'refuses %s without showing it',
    (url) => {
      let thrown: unknown
      try {
        postgresTarget({ url })
      } catch (error) {
        thrown = error
      }
      expect(thrown).toBeInstanceOf(SettingsError)
      expect(inspect(thrown, { depth: 9, showHidden: true })).not.toContain('cret')
    },
  )

  it('refuses numbers that are none', () => {
    expect(() => postgresTarget({ poolSize: 0 })).toThrow('postgres.poolSize cannot be 0')
    expect(() => postgresTarget({ lockTimeoutMs: 1.5 })).toThrow('MR-PG-SETTING')
  })
})
