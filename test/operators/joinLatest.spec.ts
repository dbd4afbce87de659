import { describe, expect, test } from 'vitest'
import { compacted, type JoinKind, json, stream, table } from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'

const users = compacted('users', json<{ name: string }>())
const mails = compacted('mails', json<{ address: string }>())
const profiles = table<{ user: string; text: string | null }>('profiles')

const planOf = (join: JoinKind) =>
  stream('users')
    .from(users)
    .keyBy((_, ctx) => String(ctx.record.key), { sameKey: true })
    .joinLatest(
      stream('mails')
        .from(mails)
        .keyBy((_, ctx) => String(ctx.record.key), { sameKey: true }),
      (user, mail) => `${user?.name}/${mail?.address}`,
      { join },
    )
    .to(profiles, ({ key, value }) => ({ user: key, text: value }))

const given: Readonly<Record<JoinKind, readonly (string | null)[]>> = {
  inner: ['ann/@', 'bob/@', 'bob/@2', null],
  left: ['ann/undefined', 'ann/@', 'bob/@', 'bob/@2', 'bob/undefined', null],
  outer: ['ann/undefined', 'ann/@', 'bob/@', 'bob/@2', 'bob/undefined', null, 'undefined/@3'],
}

describe('joinLatest', () => {
  test.each(['inner', 'left', 'outer'] as const)('gives what a key has come to, %s', async (join) => {
    const t = testDriver(planOf(join))
    const keyed = { key: 'u1' }
    await t.send(users, { name: 'ann' }, keyed)
    await t.send(mails, { address: '@' }, keyed)
    await t.send(users, { name: 'bob' }, keyed)
    await t.send(mails, { address: '@2' }, keyed)
    await t.send(mails, null, keyed)
    await t.send(users, null, keyed)
    await t.send(users, null, keyed)
    await t.send(mails, { address: '@3' }, keyed)
    expect(t.rows(profiles).map(({ text }) => text)).toEqual(given[join])
    expect(new Set(t.rows(profiles).map(({ user }) => user))).toEqual(new Set(['u1']))
    await t.stop()
  })
})
