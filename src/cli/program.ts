/** The commands and their flags. Commands are loaded when they run, so that `--help` and `describe` stay quick. */
import { Command, CommanderError, Option } from 'commander'
import { SettingsError } from '../core/errors.ts'
import type { EvalOptions } from './commands/eval.ts'
import type { ProgressOptions, SetOptions } from './commands/progress.ts'
import type { ReparseOptions } from './commands/reparseParts.ts'
import { addErrors, addResume } from './errorsProgram.ts'
import { type ExitCode, exitCodeOf, exitCodes, exitCodeTexts } from './exitCodes.ts'
import { errorText, type Output } from './output.ts'
import { type CliSettings, type Flags, readSettings } from './settings.ts'
import { type Setting, settingsTable } from './settingsTable.ts'
import { addState } from './stateProgram.ts'
import { version } from './version.ts'

/** What a command line is run in; tests give their own. */
export interface Surroundings extends Output {
  /** What is on standard input, to its end. */
  readonly input: () => Promise<Buffer>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Whether somebody watches what goes to `err`. */
  readonly terminal?: boolean | undefined
}

/** Commands that are described somewhere and come later: refused by name. */
const laterCommands = ['init', 'check', 'top']

/**
 * Runs one command line.
 *
 * @param args what stands behind `millrace`
 * @returns the exit code; it never rejects
 */
export async function runProgram(args: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  let debug = args.includes('debug')
  const program = createProgram(surroundings, (settings) => {
    debug = settings.logLevel === 'debug'
  })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    // Commander has printed it already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    surroundings.err(`${errorText(error, debug)}\n`)
    return exitCodeOf(error)
  }
}

function createProgram(surroundings: Surroundings, onSettings: (settings: CliSettings) => void): Command {
  const { cwd } = surroundings
  const settingsOf = (command: Command): CliSettings => {
    const settings = readSettings({ flags: flagsOf(command), env: surroundings.env, cwd })
    onSettings(settings)
    return settings
  }
  const program = new Command('millrace')
    .description('A stream processor: Kafka in, Postgres out, exactly once, and every item can be undone on its own.')
    .version(version(), '-v, --version')
    .exitOverride()
    .configureOutput({
      writeOut: surroundings.out,
      writeErr: surroundings.err,
      outputError: (text, write) => write(text.replace(/^error: /, 'millrace: ')),
    })
    .addHelpText('after', () => `\n${mainHelp()}`)

  const run = program
    .command('run')
    .argument('<file>', 'a module, also in TypeScript, whose default export is a stream or a list of streams')
    .summary('run a plan as a service')
    .description(
      'Runs a plan as one member of its consumer group, until it is stopped by SIGINT or SIGTERM.\nMore processes of the same group share the partitions.',
    )
    .option('--until-caught-up', 'end when everything that was in the topics at the start is committed')
    .addOption(new Option('--web [port]').hideHelp())
    .action(async (file: string, options: { untilCaughtUp?: boolean; web?: unknown }) => {
      if (options.web !== undefined) throw later('--web')
      const settings = settingsOf(run)
      const { run: runPlan } = await import('./commands/run.ts')
      await runPlan(file, settings, { untilCaughtUp: options.untilCaughtUp === true, cwd })
    })
  addSettings(run, () => true)
  run.addHelpText('after', () => `\n${runHelp()}`)

  program
    .command('describe')
    .argument('<file>', 'as for run')
    .summary('print the steps of a plan')
    .description('Prints the steps of a plan. Connects to nothing.')
    .action(async (file: string) => (await import('./commands/draw.ts')).describeFile(file, cwd, surroundings))
  program
    .command('graph')
    .argument('<file>', 'as for run')
    .summary('draw a plan as a Mermaid flowchart')
    .description('Prints a plan as a Mermaid flowchart. Connects to nothing.')
    .action(async (file: string) => (await import('./commands/draw.ts')).graphFile(file, cwd, surroundings))

  addEval(program, surroundings, settingsOf)
  addProgress(program, surroundings, settingsOf)
  const parts = { output: surroundings, settingsOf, addSettings }
  addErrors(program, parts)
  addResume(program, parts)
  addState(program, parts)
  addReparse(program, surroundings, settingsOf)
  for (const name of laterCommands) {
    program
      .command(name, { hidden: true })
      .argument('[args...]')
      .helpOption(false)
      .allowUnknownOption()
      .action(() => {
        throw later(`millrace ${name}`)
      })
  }
  return program
}

function addEval(program: Command, surroundings: Surroundings, settingsOf: (command: Command) => CliSettings): void {
  const command = program
    .command('eval')
    .argument('<file>', 'as for run')
    .summary('run one step on one record')
    .description(
      'Runs a step of a plan, and what comes before it, on one record, and prints what it gives, what becomes of the item, the\nscopes, and the rows that would be written. Commits nothing; calls to the outside are made.\nThe record is the value on standard input, or one of a topic.',
    )
    .requiredOption('--step <name>', 'the step, as "millrace describe" prints it')
    .option('--stream <name>', 'the stream, where several have such a step')
    .option('--at <place>', 'topic/partition/offset of a record, such as flights/2/17')
    .option('--key <text>', 'the key of a record from standard input')
    .option('--json', 'print JSON')
  addSettings(command, ({ path }) => path === 'kafka.brokers')
  command.action(async (file: string, options: EvalOptions) =>
    (await import('./commands/eval.ts')).evalStep(file, settingsOf(command), options, surroundings),
  )
}

function addProgress(
  program: Command,
  surroundings: Surroundings,
  settingsOf: (command: Command) => CliSettings,
): void {
  const progress = program
    .command('progress')
    .summary('look at progress, or change it')
    .description('Looks at how far each partition is, or changes it. Progress lives in Postgres, in millrace.progress.')
  const add = (name: string, summary: string, description: string) => {
    const command = progress
      .command(name)
      .summary(summary)
      .description(description)
      .option('--stream <name>', 'only this stream')
      .option('--source <step>', 'only this source step, such as from:flights')
      .option('--partition <number>', 'only this partition')
    addSettings(command, ({ path }) => path === 'group' || path === 'postgres.url')
    return command
  }
  const planned =
    'Prints what would change; does it with --execute. Stop the service first:\na change takes the partitions away from whoever runs them.'
  const show = add('show', 'how far each partition is', 'Prints how far each partition of a group is.')
  show.action(async (options: ProgressOptions) =>
    (await import('./commands/progress.ts')).showProgress(settingsOf(show), options, surroundings),
  )

  const set = add('set', 'go on at another offset', `Lets partitions go on at another offset. ${planned}`)
    .requiredOption('--to <offset>', 'offset of the next record to read')
    .option('--execute', 'do it')
  set.action(async (options: SetOptions) =>
    (await import('./commands/progress.ts')).setProgress(settingsOf(set), options, surroundings),
  )

  const reset = add(
    'reset',
    'forget progress',
    `Forgets progress: the next start is a first one, and --from says where it begins. ${planned}`,
  ).option('--execute', 'do it')
  reset.action(async (options: SetOptions) =>
    (await import('./commands/progress.ts')).resetProgress(settingsOf(reset), options, surroundings),
  )
}

function addReparse(program: Command, surroundings: Surroundings, settingsOf: (command: Command) => CliSettings): void {
  const command = program
    .command('reparse')
    // Else flags of "reparse list" would be taken for its own.
    .enablePositionalOptions()
    .argument('<file>', 'as for run')
    .summary('run items again, and replace what they have made')
    .description(
      'Runs items again that the service of the group has done, and puts what they make now in the place of what they made then.\nPrints what would be done; does it with --execute. The service may go on meanwhile. Interrupted, the same command goes on.',
    )
    .option('--stream <name>', 'only this stream')
    .option('--partition <number>', 'only this partition')
    .option('--from-offset <offset>', 'the first record')
    .option('--to-offset <offset>', 'the record behind the last one')
    .option('--from-time <time>', 'from the first record on that is not older')
    .option('--to-time <time>', 'up to the first record that is not older, without it')
    .option('--key <text>', 'only records of this key')
    .option('--fingerprint <hex>', 'only items in the error collector whose errors have this fingerprint')
    .option('--resume <id>', 'go on with a reparse that was interrupted')
    .option(
      '--shadow',
      'run whole topics again into new tables, and swap them: for steps with state and tables without track',
    )
    .option('--execute', 'do it')
    .option('--json', 'print JSON')
  addSettings(command, ({ path }) => path !== 'from')
  command.action(async (file: string, options: ReparseOptions) =>
    (await import('./commands/reparse.ts')).reparse(file, settingsOf(command), options, surroundings),
  )
  const list = command
    .command('list')
    .summary('reparses of a group')
    .description('Prints the reparses of a group, those that are done too.')
    .option('--json', 'print JSON')
  addSettings(list, ({ path }) => path === 'group' || path === 'postgres.url')
  list.action(async (options: Pick<ReparseOptions, 'json'>) =>
    (await import('./commands/reparse.ts')).listReparsesOf(settingsOf(list), options, surroundings),
  )
  const drop = command
    .command('drop')
    .argument('<id>', 'the number that "millrace reparse list" prints')
    .summary('give up a reparse that was interrupted')
    .description('Gives up a reparse that was interrupted. One with --shadow loses the tables that it has made.')
    .option('--execute', 'do it')
    .option('--json', 'print JSON')
  addSettings(drop, ({ path }) => path === 'group' || path === 'postgres.url')
  drop.action(async (id: string, options: Pick<ReparseOptions, 'execute' | 'json'>) =>
    (await import('./commands/reparseShadow.ts')).drop(id, settingsOf(drop), options, surroundings),
  )
}

/** Flags of the settings in the table that a command uses. */
function addSettings(command: Command, uses: (setting: Setting) => boolean): void {
  for (const setting of settingsTable) {
    if (setting.flag !== undefined && uses(setting))
      command.option(`${setting.flag} <${valueNameOf(setting)}>`, lowerFirst(setting.text))
  }
  command.option('--config <file>', 'settings file. Default: millrace.config.json, where there is one')
}

function flagsOf(command: Command): Flags {
  const options: Readonly<Record<string, unknown>> = command.opts()
  const flags: Record<string, string> = {}
  for (const option of command.options) {
    const value = options[option.attributeName()]
    const isSetting = option.long === '--config' || settingsTable.some(({ flag }) => flag === option.long)
    if (isSetting && option.long && typeof value === 'string') flags[option.long] = value
  }
  return flags
}

function valueNameOf({ path, rule }: Setting): string {
  if (rule.type === 'number') return 'number'
  if (rule.type === 'strings') return 'hosts'
  return path === 'postgres.url' ? 'url' : path === 'logLevel' ? 'level' : path === 'from' ? 'place' : 'name'
}

function lowerFirst(text: string): string {
  return /^[A-Z][a-z ]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text
}

function mainHelp(): string {
  return `Examples:
  millrace run streams/flights.ts --group flights --brokers localhost:9092 --database postgres://localhost/flights
  millrace describe streams/flights.ts
  millrace progress show --group flights
  millrace errors list --group flights --since 1h

Exit codes:
${exitCodeLines()}
`
}

function runHelp(): string {
  return `Settings come from the settings file, then from the environment, then from flags; the last one counts.
Variables of the flags:
${variables(({ flag }) => flag !== undefined)}

Settings without a flag (docs/cli.md says what they do):
${variables(({ flag }) => flag === undefined)}

Exit codes:
${exitCodeLines()}
`
}

function variables(which: (setting: Setting) => boolean): string {
  return settingsTable
    .filter(which)
    .map(({ env, flag }) => `  ${flag === undefined ? env : `${flag.padEnd(20)} ${env}`}`)
    .join('\n')
}

function exitCodeLines(): string {
  return exitCodeTexts.map(([code, meaning]) => `  ${code.padEnd(9)} ${meaning}`).join('\n')
}

function later(name: string): SettingsError {
  return new SettingsError('MR-CLI-LATER', {
    what: `"${name}" is not in this release`,
    fix: 'See "millrace --help" for what is.',
  })
}
