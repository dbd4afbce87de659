/** The commands `millrace errors …` and `millrace resume`, and their flags. */
import type { Command } from 'commander'
import type { ListOptions, StatsOptions } from './commands/errors.ts'
import type { ChangeOptions, PruneOptions, ResumeOptions } from './commands/errorsChange.ts'
import type { Output } from './output.ts'
import type { CliSettings } from './settings.ts'
import type { Setting } from './settingsTable.ts'

/** What the program gives its parts. */
export interface ProgramParts {
  readonly output: Output
  settingsOf(command: Command): CliSettings
  addSettings(command: Command, uses: (setting: Setting) => boolean): void
}

const planned = 'Prints what would change; does it with --execute.'

export function addErrors(program: Command, { output, settingsOf, addSettings }: ProgramParts): void {
  const errors = program
    .command('errors')
    .summary('look into the error collector, and replay, settle or delete items')
    .description(
      'Looks into the error collector, or changes what is in it. It is the table millrace.errors, in the same Postgres as the rows.',
    )
  const add = (name: string, summary: string, description: string) =>
    errors.command(name).summary(summary).description(description)
  const withGroup = (command: Command) =>
    addSettings(command, ({ path }) => path === 'group' || path === 'postgres.url')

  const list = addFilters(
    add(
      'list',
      'items that failed, by kind',
      'Prints the items that failed and are not settled, by stream, step and kind of error.',
    ),
    'open,deferred,parked,replaying',
  )
    .option('--items', 'one line for each item, the newest first')
    .option('--limit <number>', 'lines at most', '50')
    .option('--json', 'print JSON')
  withGroup(list)
  list.action(async (options: ListOptions) =>
    (await import('./commands/errors.ts')).listErrors(settingsOf(list), options, output),
  )

  const show = add('show', 'all that is kept of an item', 'Prints all that is kept of an item.')
    .argument('<id>', 'its number, as list prints it')
    .option('--json', 'print JSON')
  withGroup(show)
  show.action(async (id: string, options: { json?: boolean }) =>
    (await import('./commands/errors.ts')).showError(settingsOf(show), id, options, output),
  )

  const stats = addFilters(
    add(
      'stats',
      'how many items, by stream and state',
      'Prints how many items the collector holds, and which streams are halted.',
    ),
    'all',
  ).option('--json', 'print JSON')
  withGroup(stats)
  stats.action(async (options: StatsOptions) =>
    (await import('./commands/errors.ts')).errorStats(settingsOf(stats), options, output),
  )

  const replay = addFilters(
    add('replay', 'run items again', `Runs items again, in the service that has their partition. ${planned}`),
    'open,deferred',
  ).option('--execute', 'do it')
  withGroup(replay)
  replay.action(async (options: ChangeOptions) =>
    (await import('./commands/errorsChange.ts')).replayErrors(settingsOf(replay), options, output),
  )

  const ignore = addFilters(
    add('ignore', 'settle items without running them', `Settles items without running them. ${planned}`),
    'open,deferred,parked,replaying',
  ).option('--execute', 'do it')
  withGroup(ignore)
  ignore.action(async (options: ChangeOptions) =>
    (await import('./commands/errorsChange.ts')).ignoreErrors(settingsOf(ignore), options, output),
  )

  const remove = add(
    'delete',
    'delete all items of a key',
    `Deletes all items of a key, also those that are settled. ${planned}`,
  )
    .requiredOption('--key <key>', 'the key: a text, or \\x and hexadecimal digits')
    .option('--stream <name>', 'only this stream')
    .option('--execute', 'do it')
  withGroup(remove)
  remove.action(async (options: ChangeOptions) =>
    (await import('./commands/errorsChange.ts')).deleteErrors(settingsOf(remove), options, output),
  )

  const prune = add(
    'prune',
    'delete items that were settled long ago',
    `Deletes items that were settled long ago. ${planned}\nServices do so by themselves: see errors.keepDays.`,
  )
    .option('--older-than <age>', 'settled before: 12h, 30d, or a time', '30d')
    .option('--stream <name>', 'only this stream')
    .option('--execute', 'do it')
  withGroup(prune)
  prune.action(async (options: PruneOptions) =>
    (await import('./commands/errorsChange.ts')).pruneErrors(settingsOf(prune), options, output),
  )
}

export function addResume(program: Command, { output, settingsOf, addSettings }: ProgramParts): void {
  const resume = program
    .command('resume')
    .summary('let streams run again that were halted')
    .description(
      `Lets streams run again that were halted because too many of their items failed. ${planned}\nA plan that is not the one that was halted runs without it.`,
    )
    .option('--stream <name>', 'only this stream')
    .option('--execute', 'do it')
  addSettings(resume, ({ path }) => path === 'group' || path === 'postgres.url')
  resume.action(async (options: ResumeOptions) =>
    (await import('./commands/errorsChange.ts')).resume(settingsOf(resume), options, output),
  )
}

/** @param states what is meant without `--state` */
function addFilters(command: Command, states: string): Command {
  return command
    .option('--stream <name>', 'only this stream')
    .option('--step <name>', 'only this step, such as map or to:flights')
    .option('--fingerprint <digits>', 'only this kind of error; the first digits are enough')
    .option('--state <states>', `only these, with commas between them, or all. Default: ${states}`)
    .option('--since <time>', 'failed at this time or later: 1h, 30m, or a time such as 2026-11-01T08:30:00Z')
    .option('--until <time>', 'failed before this time')
    .option('--key <key>', 'only this key: a text, or \\x and hexadecimal digits')
    .option('--partition <number>', 'only this partition')
    .option('--id <numbers>', 'only these items, with commas between them')
}
