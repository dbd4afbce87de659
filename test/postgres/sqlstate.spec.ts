import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { StoreError, UnavailableError } from '../../src/core/errors.ts'
import {
  isClash,
  isConnectionLost,
  NoAnswer,
  reactionTo,
  toConnectError,
  toMillraceError,
} from '../../src/postgres/sqlstate.ts'

const databaseError = (code: string, severity = 'ERROR', message = 'said') =>
  Object.assign(new pg.DatabaseError(message, 0, 'error'), { code, severity })
const nodeError = (code: string, message = 'said') => Object.assign(new Error(message), { code })

describe('the SQLSTATE table', () => {
  it.each([
    ['retry', '08006 08P01 25006 25P02 25P03 40001 40P01 53100 53300 55P03 57014 57P01 57P03 58030 XX000'],
    ['collect', '22001 22P02 22021 22P05 23502 23503 23505 23514 23P01 44000 54000 P0001'],
    ['stop', '28P01 3D000 3F000 42703 42P01 42501 0A000 21000 55000 57000 XX001 P0002 MR001 ZZZZZ'],
  ])('%s: %s', (reaction, states) => {
    for (const state of states.split(' ')) expect(reactionTo(state), state).toBe(reaction)
  })

  it('knows what clashes with other rows', () => {
    expect(['23505', '23P01', '23503', '23514', '23502', '22001'].map(isClash)).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ])
  })
})

describe('isConnectionLost', () => {
  it('knows connections that are gone by the codes of node, the sentences of pg and FATAL', () => {
    const lost = [
      nodeError('ECONNRESET'),
      nodeError('EPIPE'),
      nodeError('ECONNREFUSED'),
      new Error('Connection terminated unexpectedly'),
      new Error('Client has encountered a connection error and is not queryable'),
      new NoAnswer(5),
      databaseError('57P01', 'FATAL'),
      databaseError('25P03', 'FATAL'),
      databaseError('08P01'),
    ]
    for (const error of lost) expect(isConnectionLost(error), String(error)).toBe(true)
    const others = [
      databaseError('23505'),
      databaseError('57014'),
      new TypeError('x is not a function'),
      'text',
      nodeError('ENOENT'),
    ]
    for (const error of others) expect(isConnectionLost(error), String(error)).toBe(false)
  })
})

describe('errors', () => {
  const doing = { doing: 'committing', target: 'db:5432/flights' }

  it('are tried again where that may help', () => {
    for (const error of [databaseError('40P01'), databaseError('57014'), nodeError('ECONNRESET')]) {
      expect(toMillraceError(error, doing)).toBeInstanceOf(UnavailableError)
    }
  })

  it('stop everything else, unknown codes and errors without one among them', () => {
    for (const error of [databaseError('42P01'), databaseError('ZZZZZ'), new TypeError('x'), 'thrown text']) {
      expect(toMillraceError(error, doing)).toBeInstanceOf(StoreError)
    }
  })

  it('print what was done, where, and what was said', () => {
    expect(toMillraceError(databaseError('40P01', 'ERROR', 'deadlock detected'), doing).message).toBe(
      'millrace: Postgres at db:5432/flights could not go on while committing\n' +
        '  deadlock detected (SQLSTATE 40P01)\n' +
        '  Nothing of it was committed; it is tried again.  MR-PG-BUSY',
    )
  })

  it('are passed on when they are ours', () => {
    const ours = new StoreError('MR-X', { what: 'x' })
    expect(toMillraceError(ours, doing)).toBe(ours)
    expect(toConnectError(ours, { target: 't', user: 'u' })).toBe(ours)
  })

  it.each([
    ['MR-PG-PASSWORD', databaseError('28P01', 'FATAL')],
    ['MR-PG-PASSWORD', new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string')],
    ['MR-PG-ACCESS', databaseError('28000', 'FATAL')],
    ['MR-PG-DATABASE', databaseError('3D000', 'FATAL')],
    ['MR-PG-TLS', new Error('The server does not support SSL connections')],
    ['MR-PG-TLS', nodeError('SELF_SIGNED_CERT_IN_CHAIN')],
    ['MR-PG-BUSY', databaseError('53300', 'FATAL')],
    ['MR-PG-BUSY', databaseError('57P03', 'FATAL')],
    ['MR-PG-UNREACHABLE', nodeError('ECONNREFUSED')],
    ['MR-PG-UNREACHABLE', nodeError('ENOTFOUND')],
    ['MR-PG-UNREACHABLE', new Error('timeout expired')],
  ])('on the way to a connection: %s', (code, error) => {
    expect(toConnectError(error, { target: 'db:5432/flights', user: 'me' }).code).toBe(code)
  })
})
