/** Turns what kafkajs and node throw into this library's errors: what happened, what usually causes it, what to do. */
import {
  type ErrorText,
  InternalError,
  MillraceError,
  messageOf,
  type Place,
  SourceError,
  UnavailableError,
} from '../core/errors.ts'
import { judge, type Verdict } from './retryable.ts'
import type { ResolvedKafkaSettings } from './settings.ts'
import type { BrokerSighting } from './sockets.ts'

/** What an error's text may draw on. */
export interface ErrorContext {
  readonly settings: ResolvedKafkaSettings
  sightings(): readonly BrokerSighting[]
  /** Whether a broker has ever told about the cluster: then address, TLS and login were right. */
  served(): boolean
}

/** The error to raise for anything thrown on the way to Kafka; errors of this library pass through. */
export function kafkaError(thrown: unknown, context: ErrorContext, place?: Place): MillraceError {
  if (thrown instanceof MillraceError) return thrown
  const verdict = judge(thrown)
  const mismatch = couldBeMismatch.includes(verdict.code) ? likelyMismatch(context) : undefined
  if (mismatch !== undefined) return new SourceError(mismatch.code, { ...mismatch.text, place, cause: verdict.cause })
  if (verdict.code === 'MR-KAFKA-UNREACHABLE') return unreachable(verdict, context, place)
  const text = textOf(verdict, context)
  const full: ErrorText = { ...text, place, cause: verdict.cause }
  if (verdict.code === 'MR-KAFKA-CLIENT') return new InternalError(verdict.code, full)
  return new SourceError(verdict.code, full)
}

const couldBeMismatch = ['MR-KAFKA-UNREACHABLE', 'MR-KAFKA-TLS']

function textOf({ code, cause }: Verdict, { settings, sightings }: ErrorContext): ErrorText {
  const said = messageOf(cause)
  switch (code) {
    case 'MR-KAFKA-TLS':
      return tlsText(said, failing(sightings()), settings)
    case 'MR-KAFKA-SASL':
      return {
        what: `Kafka refused the login of "${settings.sasl?.username ?? '(none)'}" (${settings.sasl?.mechanism ?? 'no mechanism'})`,
        why: `The broker said: ${said}${isNoLogin(cause) ? '; a listener that expects no login says that' : ''}`,
        fix: 'Check the setting "sasl" (mechanism, username, password) against what the listener offers.',
      }
    case 'MR-KAFKA-AUTHORIZATION':
      return {
        what: `Kafka does not allow this client what it needs: ${said}`,
        why: 'It needs Describe and Read on the topics that it reads, Read on the group, and Describe and Write on the topics that it writes to.',
        fix: `Add an ACL for ${settings.sasl ? `the user "${settings.sasl.username}"` : 'this client'} and the group "${settings.groupId}".`,
      }
    case 'MR-KAFKA-GROUP-PROTOCOL':
      return {
        what: `the consumer group "${settings.groupId}" is in use by another kind of consumer`,
        why: 'Its members assign partitions in a way that this client does not speak, and a group can only have one way.',
        fix: 'Choose another group (--group), or stop the other consumers first.',
      }
    case 'MR-KAFKA-GROUP':
      return {
        what: `the consumer group "${settings.groupId}" cannot be joined: ${said}`,
        fix: 'Check the name, and group.max.size on the brokers.',
      }
    case 'MR-KAFKA-SESSION-TIMEOUT':
      return {
        what: `the brokers refuse a session timeout of ${settings.sessionTimeoutMs} ms`,
        why: 'They accept what lies between group.min.session.timeout.ms and group.max.session.timeout.ms.',
        fix: 'Change the setting "sessionTimeoutMs" (6,000 to 1,800,000 unless the brokers were configured).',
      }
    case 'MR-KAFKA-VERSION':
      return { what: `the brokers are too old: ${said}`, fix: 'Kafka 2.3 and newer are supported.' }
    case 'MR-KAFKA-TOPIC-MISSING':
      return { what: `a topic does not exist: ${said}`, fix: 'Create it, or correct its name in the plan.' }
    case 'MR-KAFKA-REPLICAS':
      return {
        what: `Kafka did not take what was written: ${said}`,
        why: 'Fewer replicas of the partition are in sync than min.insync.replicas of the topic asks for.',
        fix: 'See which brokers are down. What was committed waits in millrace.outbox, and is sent after the next start.',
      }
    case 'MR-KAFKA-RECORD-SIZE':
      return {
        what: `Kafka did not take a record for its size: ${said}`,
        why: 'The limits of topic and broker are max.message.bytes and message.max.bytes. One that is lower than when the service started lets through what then fails.',
        fix: 'Raise the limit of the topic and start again: what was committed waits in millrace.outbox.',
      }
    case 'MR-KAFKA-RECORD':
      return {
        what: `Kafka refused a record: ${said}`,
        why: 'A compacted topic takes none without a key; timestamps may lie as far off as message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic say.',
        fix: 'Change the topic and start again: what was committed waits in millrace.outbox.',
      }
    case 'MR-KAFKA-CORRUPT':
      return {
        what: `Kafka says that a record is corrupt: ${said}`,
        why: 'A damaged disk or log segment on the broker is the usual cause.',
        fix: "Look at the broker's log; `millrace progress set` moves past the damage.",
      }
    default:
      return {
        what: `the Kafka client failed: ${said}`,
        why: 'This is not an error it knows, so it does not try again.',
      }
  }
}

function isNoLogin(cause: unknown): boolean {
  return (cause as { type?: string } | undefined)?.type === 'ILLEGAL_SASL_STATE'
}

function tlsText(said: string, broker: BrokerSighting | undefined, settings: ResolvedKafkaSettings): ErrorText {
  return {
    what: `TLS with ${broker?.address ?? settings.brokers.join(', ')} failed: ${tlsReason(broker?.lastError?.message ?? said)}`,
    why: settings.ssl === false ? undefined : certificateHint(broker?.lastError?.code ?? ''),
    fix: 'Check the setting "ssl" (ca, cert, key, servername) and that the port is the one of the TLS listener.',
  }
}

/** OpenSSL's own texts name its source files; what a reader needs is the part before them. */
function tlsReason(message: string): string {
  return /SSL routines:[^:]*:([^:]+)/.exec(message)?.[1] ?? message.trim()
}

function certificateHint(code: string): string | undefined {
  if (/SELF_SIGNED|UNABLE_TO/.test(code))
    return `The broker's certificate is not signed by an authority known here (${code}): give it in ssl.ca.`
  if (/EXPIRED/.test(code)) return `A certificate is out of date (${code}).`
  if (/ALTNAME|HOSTNAME/.test(code))
    return `The certificate is for another name (${code}): set ssl.servername, or use the host that it names.`
  if (/ALERT/.test(code)) return `The broker refused this client's certificate (${code}): give ssl.cert and ssl.key.`
  return code === '' ? undefined : `Node's code is ${code}.`
}

function failing(sightings: readonly BrokerSighting[]): BrokerSighting | undefined {
  return sightings.find((broker) => broker.lastError !== undefined)
}

/** Nobody can be reached: says what was seen of each broker. */
function unreachable(
  { cause }: Verdict,
  { settings, sightings }: ErrorContext,
  place: Place | undefined,
): MillraceError {
  const seen = sightings()
  const advertised = seen.filter((broker) => broker.lastError && !settings.brokers.includes(broker.address))
  const lines = seen.filter((broker) => broker.lastError).map((broker) => `${broker.address}: ${seenText(broker)}`)
  return new UnavailableError('MR-KAFKA-UNREACHABLE', {
    what: `Kafka cannot be reached at ${settings.brokers.join(', ')}`,
    why: [...lines, lines.length === 0 ? `The last answer was: ${messageOf(cause)}` : '']
      .filter((line) => line)
      .join('\n'),
    fix:
      advertised.length > 0
        ? `The brokers advertise ${advertised.map((broker) => broker.address).join(', ')}: can that be reached from here (advertised.listeners)?`
        : 'Is it up? Is the address right from here (advertised.listeners)? Does the port expect TLS (setting "ssl") or a login (setting "sasl")?',
    place,
    cause,
  })
}

function seenText(broker: BrokerSighting): string {
  const { code, message } = broker.lastError ?? { code: '', message: '' }
  switch (code) {
    case 'ECONNREFUSED':
      return 'nothing listens there (ECONNREFUSED)'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name cannot be resolved (${code})`
    case 'ended':
      return 'it closed the connection'
    default:
      return `${message} (${code})`
  }
}

/** The pictures that a wrong `ssl` or a missing `sasl` leave behind; there is no error code for them. */
function likelyMismatch({ settings, sightings, served }: ErrorContext): { code: string; text: ErrorText } | undefined {
  if (served()) return undefined
  for (const broker of sightings()) {
    const { code, message } = broker.lastError ?? { code: '', message: '' }
    if (settings.ssl === false && broker.wantsTls) {
      return {
        code: 'MR-KAFKA-TLS',
        text: {
          what: `the broker at ${broker.address} speaks TLS, and this client does not`,
          fix: 'Turn on the setting "ssl", or use the port of a listener without TLS.',
        },
      }
    }
    if (settings.ssl !== false && !broker.connected && code === 'ECONNRESET' && message.includes('TLS')) {
      return {
        code: 'MR-KAFKA-TLS',
        text: {
          what: `the broker at ${broker.address} broke off the TLS handshake`,
          why: 'A listener without TLS does that.',
          fix: 'Turn off the setting "ssl", or use the port of the TLS listener.',
        },
      }
    }
    if (settings.sasl === undefined && broker.answered && code === 'ended') {
      return {
        code: 'MR-KAFKA-SASL',
        text: {
          what: `the broker at ${broker.address} closed the connection after its first answer`,
          why: 'A listener that expects a login does that.',
          fix: 'Give the setting "sasl" (mechanism, username, password), or use a listener without a login.',
        },
      }
    }
  }
  return undefined
}
