/** Settings of the command line: file, then environment, then flags, each checked where it stands. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { messageOf, SettingsError } from '../core/errors.ts'
import { isCharacters, type OptionErrorMaker, type OptionRules, shown, validateOptions } from '../core/options.ts'
import type { KafkaConnection, PostgresConnection, StartSettings } from '../service/start.ts'
import { configEnv, type LogLevel, type Setting, settingsTable } from './settingsTable.ts'
import { timeOf } from './times.ts'

/** Flags as they were given, by name (`--brokers`). */
export type Flags = Readonly<Record<string, string | undefined>>

export interface SettingsSources {
  readonly flags: Flags
  readonly env: Readonly<Record<string, string | undefined>>
  /** The working directory: where the settings file is looked for. */
  readonly cwd: string
}

/** What was set, in the shape of the settings file. Whether something is missing is for the command to say. */
export interface CliSettings
  extends Pick<
    StartSettings,
    'from' | 'commit' | 'buffer' | 'errors' | 'stateKeys' | 'stallAfterMs' | 'blockedAfterMs'
  > {
  readonly group?: string
  readonly logLevel?: LogLevel
  readonly kafka?: Partial<KafkaConnection>
  readonly postgres?: PostgresConnection
}

const defaultFile = 'millrace.config.json'

const failure: OptionErrorMaker = (text) => new SettingsError('MR-CLI-SETTING', text)

/** Values by the path of their setting. */
type Values = Map<string, unknown>

/**
 * Reads and checks all settings.
 *
 * @throws SettingsError that names the setting and where it stands
 */
export function readSettings({ flags, env, cwd }: SettingsSources): CliSettings {
  const file = flags['--config'] ?? env[configEnv]
  const values: Values = new Map([...fromFile(file, cwd), ...fromEnvironment(env), ...fromFlags(flags)])
  readCertificates(values, cwd)
  const from = values.get('from')
  if (from !== undefined) values.set('from', parseFrom(String(from)))
  // Every value has been checked against the rule of its path, which is the one that start() checks it against.
  return nested(values) as CliSettings
}

function fromFile(file: string | undefined, cwd: string): Values {
  const path = resolve(cwd, file ?? defaultFile)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (file === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return new Map()
    throw new SettingsError('MR-CLI-CONFIG', {
      what: `the settings file ${path} cannot be read`,
      why: messageOf(error),
    })
  }
  const parsed = parseJson(path, text)
  const values: Values = new Map()
  flatten(file ?? defaultFile, parsed, '', values)
  return values
}

function parseJson(path: string, text: string): object {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // JSON.parse would quote what stands at the place of the error, and that may be a password.
    throw new SettingsError('MR-CLI-CONFIG', {
      what: `the settings file ${path} is no JSON`,
      fix: 'It is one object, without comments.',
    })
  }
  if (isObject(parsed)) return parsed
  throw new SettingsError('MR-CLI-CONFIG', { what: `the settings file ${path} holds no object` })
}

/** Checks one object of the file against the settings that may stand in it, and goes on into the objects that it holds. */
function flatten(file: string, object: object, prefix: string, values: Values): void {
  const owner = prefix === '' ? file : `${file}: "${prefix.slice(0, -1)}"`
  const own: Record<string, unknown> = {}
  const rules: Record<string, OptionRules[string]> = {}
  for (const { path, rule } of settingsTable) {
    if (!path.startsWith(prefix)) continue
    const [name = '', ...deeper] = path.slice(prefix.length).split('.')
    rules[name] ??= deeper.length > 0 ? { type: 'object' } : rule
  }
  for (const [name, value] of Object.entries(object)) {
    const path = `${prefix}${name}`
    const setting = settingsTable.find((known) => known.path === path)
    const holdsMore = settingsTable.some((known) => known.path.startsWith(`${path}.`))
    if (holdsMore && isObject(value)) {
      flatten(file, value, `${path}.`, values)
      continue
    }
    // A rule would let a list pass for an object.
    if (holdsMore && setting === undefined)
      throw failure({ what: `${owner}: "${name}" must be an object, but is ${shown(value)}` })
    if (setting?.secret && (typeof value !== 'string' || !isCharacters(value)))
      throw failure({ what: `${owner}: "${name}" must be a text` })
    own[name] = value
    if (setting !== undefined) values.set(path, value)
  }
  validateOptions(owner, own, rules, failure)
}

function fromEnvironment(env: SettingsSources['env']): Values {
  const given = Object.entries(env).filter(([name]) => name.startsWith('MILLRACE_') && name !== configEnv)
  return fromTexts('the environment', (setting) => setting.env, Object.fromEntries(given))
}

function fromFlags(flags: Flags): Values {
  const { '--config': _config, ...given } = flags
  return fromTexts('the command line', (setting) => setting.flag, given)
}

/** Texts by the name that a setting has in one place. */
function fromTexts(owner: string, nameOf: (setting: Setting) => string | undefined, texts: Flags): Values {
  const values: Values = new Map()
  const rules: Record<string, OptionRules[string]> = {}
  const parsed: Record<string, unknown> = {}
  for (const setting of settingsTable) {
    const name = nameOf(setting)
    if (name === undefined) continue
    rules[name] = setting.rule
    const text = texts[name]
    if (text !== undefined) values.set(setting.path, parseText(setting, text))
  }
  for (const [name, text] of Object.entries(texts)) {
    const setting = settingsTable.find((known) => nameOf(known) === name)
    parsed[name] = setting === undefined || text === undefined ? text : parseText(setting, text)
  }
  validateOptions(owner, parsed, rules, failure)
  return values
}

/** What a text stands for; the text itself where it stands for nothing, so that the rule's complaint shows it. */
function parseText({ rule }: Setting, text: string): unknown {
  switch (rule.type) {
    case 'number':
      return /^\d+$/.test(text) ? Number(text) : text
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text
    case 'strings':
      return text.split(',').map((part) => part.trim())
    default:
      return text
  }
}

function parseFrom(text: string): StartSettings['from'] {
  return text === 'earliest' || text === 'latest' ? text : parseTime('"from"', text, 'earliest, latest or a time')
}

/** @param name what the text was given for: `--from-time` */
export function parseTime(name: string, text: string, expected = 'a time'): Date {
  const time = timeOf(text)
  if (time !== undefined) return time
  throw failure({
    what: `${name} must be ${expected}, but is ${shown(text)}`,
    fix: 'Write a time with its zone, as 2026-11-01T08:30:00Z or 2026-11-01T08:30+01:00; a date alone begins in UTC.',
  })
}

/** Puts the contents of certificate files where the clients want them. */
function readCertificates(values: Values, cwd: string): void {
  for (const vendor of ['kafka', 'postgres']) {
    for (const name of ['ca', 'cert', 'key']) {
      const path = `${vendor}.ssl.${name}File`
      const file = values.get(path)
      values.delete(path)
      if (typeof file !== 'string') continue
      try {
        values.set(`${vendor}.ssl.${name}`, readFileSync(resolve(cwd, file), 'utf8'))
      } catch (error) {
        throw failure({ what: `the file of "${path}" cannot be read`, why: messageOf(error) })
      }
    }
    const details = [...values.keys()].filter((path) => path.startsWith(`${vendor}.ssl.`))
    // Details turn TLS on, unless it is turned off in so many words.
    if (values.get(`${vendor}.ssl`) === false) for (const path of details) values.delete(path)
    else if (details.length > 0) values.delete(`${vendor}.ssl`)
  }
}

/** `{ 'kafka.clientId': x }` as `{ kafka: { clientId: x } }`. */
function nested(values: Values): object {
  const root: Record<string, unknown> = {}
  for (const [path, value] of values) {
    const names = path.split('.')
    const last = names.pop() as string
    let at = root
    for (const name of names) {
      at[name] ??= {}
      at = at[name] as Record<string, unknown>
    }
    at[last] = value
  }
  return root
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
