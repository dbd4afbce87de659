import { describe, expect, it } from 'vitest'
import { type KafkaSettings, resolveKafkaSettings } from '../../src/kafka/settings.ts'

const least: KafkaSettings = { brokers: ['localhost:9092'], groupId: 'g' }

describe('resolveKafkaSettings', () => {
  it('has a default for all but brokers and group', () => {
    expect(resolveKafkaSettings(least)).toMatchObject({
      clientId: 'millrace',
      ssl: false,
      sasl: undefined,
      sessionTimeoutMs: 30_000,
      fetchMinBytes: 1,
    })
  })

  it('beats often enough for the session', () => {
    for (const sessionTimeoutMs of [600, 6_000, 30_000]) {
      const { heartbeatIntervalMs } = resolveKafkaSettings({ ...least, sessionTimeoutMs })
      expect(heartbeatIntervalMs * 3).toBeLessThanOrEqual(sessionTimeoutMs)
      expect(heartbeatIntervalMs).toBe(Math.max(100, Math.min(1_000, sessionTimeoutMs / 12)))
    }
  })

  it.each([
    [{ brokers: [] }, '"brokers" is an empty list'],
    [{ brokers: ['localhost'] }, 'holds "localhost", which is not host:port'],
    [{ brokers: ['kafka://localhost:9092'] }, 'is not host:port'],
    [{ brokers: ['localhost:99999'] }, 'is not host:port'],
    [{ groupId: '' }, '"groupId" is not a name'],
    [{ sessionTimeoutMs: 0 }, '"sessionTimeoutMs" is 0'],
    [{ fetchMaxBytes: 1.5 }, '"fetchMaxBytes" is 1.5'],
    [{ sasl: { mechanism: 'gssapi', username: 'u', password: 'p' } }, '"sasl.mechanism" is "gssapi"'],
    [{ sasl: { mechanism: 'plain', username: 'u', password: '' } }, '"sasl" has no username or no password'],
  ])('names what is wrong: %o', (change, text) => {
    const settings = { ...least, ...change } as KafkaSettings
    expect(() => resolveKafkaSettings(settings)).toThrow(text)
    expect(() => resolveKafkaSettings(settings)).toThrow('MR-KAFKA-SETTING')
  })
})
