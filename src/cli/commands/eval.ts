/** `millrace eval`: one step on one record, and nothing committed. */
import { inspect } from 'node:util'
import { SettingsError, SourceError } from '../../core/errors.ts'
import type { PlainRecord } from '../../core/recordListChunk.ts'
import { type Evaluation, evaluate, readRecordAt } from '../../service/evaluate.ts'
import { loadPlan } from '../loadPlan.ts'
import type { Output } from '../output.ts'
import { postgresOf, requireBrokers } from '../required.ts'
import type { CliSettings } from '../settings.ts'

export interface EvalOptions {
  readonly step: string
  readonly stream?: string
  /** `flights/2/17` */
  readonly at?: string
  readonly key?: string
  readonly json?: boolean
}

export interface EvalSurroundings extends Output {
  readonly cwd: string
  /** What is on standard input. */
  readonly input: () => Promise<Buffer>
}

type Given = Partial<PlainRecord> & Pick<PlainRecord, 'value'> & { readonly partition?: number }

export async function evalStep(
  file: string,
  settings: CliSettings,
  options: EvalOptions,
  { cwd, out, input }: EvalSurroundings,
): Promise<void> {
  const { step, stream, at, key, json } = options
  const plan = await loadPlan(file, cwd)
  const given: Given =
    at === undefined
      ? { value: withoutNewline(await input()), key: key === undefined ? null : Buffer.from(key) }
      : await readAt(at, settings)
  const { partition, ...record } = given
  const evaluation = await evaluate(plan, {
    ...{ step, stream, record, postgres: postgresOf(settings) },
    ...(partition === undefined ? {} : { partition }),
  })
  out(json === true ? `${JSON.stringify(evaluation, jsonValue)}\n` : printed(evaluation))
}

/** Shells end what they pipe with a newline; no codec wants it. */
function withoutNewline(bytes: Buffer): Buffer {
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? 2 : 1) : 0
  return bytes.subarray(0, bytes.length - end)
}

async function readAt(at: string, settings: CliSettings): Promise<Given> {
  const [, topic, partitionText, offsetText] = /^(.+)\/(\d+)\/(\d+)$/.exec(at) ?? []
  if (topic === undefined) {
    throw new SettingsError('MR-CLI-SETTING', {
      what: `--at must be topic/partition/offset, such as flights/2/17, but is "${at}"`,
    })
  }
  const [partition, offset] = [Number(partitionText), Number(offsetText)]
  const found = await readRecordAt(
    { ...settings.kafka, brokers: requireBrokers(settings) },
    { topic, partition },
    offset,
  )
  if (found === undefined) {
    throw new SourceError('MR-EVAL-RECORD', {
      what: `there is no record ${offset} in ${topic}[${partition}]`,
      why: 'Retention has deleted it, it is not written yet, or the offset is that of a transaction marker.',
      place: { topic, partition, offset },
    })
  }
  return {
    offset,
    partition,
    timestamp: found.timestamp(0),
    key: found.key(0),
    value: found.value(0),
    headers: found.headers(0),
  }
}

function printed({ stream, step, outcome, reason, error, output, writes, scope, streams }: Evaluation): string {
  const lines = [`stream "${stream}", step "${step}": ${outcome}${reason === undefined ? '' : ` (${reason})`}`]
  if (error !== undefined) lines.push(...indented(error.stack ?? `${error.name}: ${error.message}`))
  for (const value of output) lines.push(`output  ${shown(value)}`)
  for (const write of writes) lines.push(written(write))
  for (const [name, values] of Object.entries(scope)) {
    if (Object.keys(values).length > 0) lines.push(`scope   ${name} ${shown(values)}`)
  }
  for (const [name, other] of Object.entries(streams)) lines.push(`stream  "${name}": ${other}`)
  lines.push('Nothing was committed.')
  return `${lines.join('\n')}\n`
}

function written(write: Evaluation['writes'][number]): string {
  if ('table' in write) return `write   ${write.table} ${shown(write.row)}`
  const { topic, key, value, headers } = write
  const beside = Object.keys(headers).length === 0 ? '' : ` ${shown(headers)}`
  return `emit    ${topic} ${key === undefined ? '' : `${shown(key)}: `}${shown(value)}${beside}`
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`)
}

function shown(value: unknown): string {
  return inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY })
}

/** What JSON has no form for. */
function jsonValue(_name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Map) return [...value]
  if (value instanceof Set) return [...value]
  return value
}
