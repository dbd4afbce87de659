import { describe, expect, it } from 'vitest'
import { SourceError, UnavailableError } from '../../src/core/errors.ts'
import { loadKafkajs } from '../../src/kafka/kafkajsInternals.ts'
import { judge } from '../../src/kafka/retryable.ts'

const kafkajs = loadKafkajs()
const failure = (fields: object): Error => Object.assign(new Error('it failed'), fields)

describe('judge', () => {
  it.each([
    ['NOT_LEADER_FOR_PARTITION', 6, 'refresh'],
    ['REBALANCE_IN_PROGRESS', 27, 'rejoin'],
    ['UNKNOWN_MEMBER_ID', 25, 'rejoin-as-new'],
    ['GROUP_LOAD_IN_PROGRESS', 14, 'again'],
    ['TOPIC_AUTHORIZATION_FAILED', 29, 'stop'],
    ['OFFSET_OUT_OF_RANGE', 1, 'stop'],
  ])("goes by the broker's error type: %s", (_type, code, reaction) => {
    expect(judge(kafkajs.createErrorFromCode(code)).reaction).toBe(reaction)
  })

  it.each([
    [failure({ name: 'KafkaJSConnectionError', code: 'ECONNREFUSED' }), 'again', 'MR-KAFKA-UNREACHABLE'],
    [failure({ name: 'KafkaJSConnectionError' }), 'again', 'MR-KAFKA-UNREACHABLE'],
    [failure({ name: 'KafkaJSRequestTimeoutError' }), 'again', 'MR-KAFKA-UNREACHABLE'],
    [failure({ name: 'KafkaJSConnectionError', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }), 'stop', 'MR-KAFKA-TLS'],
    [failure({ name: 'KafkaJSConnectionError', code: 'ERR_TLS_CERT_ALTNAME_INVALID' }), 'stop', 'MR-KAFKA-TLS'],
    [
      failure({ name: 'KafkaJSSASLAuthenticationError', message: 'Invalid username or password' }),
      'stop',
      'MR-KAFKA-SASL',
    ],
    [failure({ name: 'KafkaJSServerDoesNotSupportApiKey' }), 'stop', 'MR-KAFKA-VERSION'],
    [failure({ code: 'EHOSTUNREACH' }), 'again', 'MR-KAFKA-UNREACHABLE'],
  ])("goes by kafkajs's name and node's code: %o", (error, reaction, code) => {
    expect(judge(error)).toMatchObject({ reaction, code })
  })

  it('does not take a connection that was lost during a login for a wrong password', () => {
    const message = 'SASL PLAIN authentication failed: Closed connection'
    expect(judge(failure({ name: 'KafkaJSSASLAuthenticationError', message })).reaction).toBe('again')
  })

  it("looks below the wrappers of kafkajs's retries", () => {
    const cause = failure({ name: 'KafkaJSProtocolError', type: 'GROUP_AUTHORIZATION_FAILED' })
    const wrapped = failure({
      name: 'KafkaJSNumberOfRetriesExceeded',
      cause: failure({ name: 'KafkaJSNonRetriableError', cause }),
    })
    expect(judge(wrapped)).toEqual({ reaction: 'stop', code: 'MR-KAFKA-AUTHORIZATION', cause })
  })

  it("goes by the class of this library's own errors", () => {
    expect(judge(new SourceError('MR-X', { what: 'x' }))).toMatchObject({ reaction: 'stop', code: 'MR-X' })
    expect(judge(new UnavailableError('MR-Y', { what: 'y' }))).toMatchObject({ reaction: 'again', code: 'MR-Y' })
  })

  it.each([
    new TypeError('undefined is not a function'),
    failure({ name: 'KafkaJSInvariantViolation' }),
    'text',
    undefined,
    null,
  ])('stops on what it does not know: %s', (thrown) => {
    expect(judge(thrown)).toMatchObject({ reaction: 'stop', code: 'MR-KAFKA-CLIENT' })
  })
})
