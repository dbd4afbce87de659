/** The command `millrace state …`, and its flags. */
import type { Command } from 'commander'
import type { StateOptions } from './commands/state.ts'
import type { ProgramParts } from './errorsProgram.ts'

export function addState(program: Command, { output, settingsOf, addSettings }: ProgramParts): void {
  const state = program
    .command('state')
    .summary('look at what steps keep for each key, or drop it')
    .description(
      'Looks at what steps keep for each key. It is the table millrace.state, in the same Postgres as the rows; millrace.state_values shows it as JSON.',
    )
  const withGroup = (command: Command) =>
    addSettings(command, ({ path }) => path === 'group' || path === 'postgres.url')

  const show = state
    .command('show', { isDefault: true })
    .summary('what a step keeps: millrace state NAME')
    .description('Prints what a step keeps, by key.')
    .argument('<name>', "the step's name, as list prints it")
    .option('--key <key>', 'only this key')
    .option('--stream <name>', 'only this stream')
    .option('--limit <number>', 'cells at most', '50')
    .option('--json', 'print JSON')
  withGroup(show)
  show.action(async (name: string, options: StateOptions) =>
    (await import('./commands/state.ts')).showState(settingsOf(show), name, options, output),
  )

  const list = state
    .command('list')
    .summary('the steps that keep state')
    .description('Prints the steps that keep state, with how many keys each.')
    .option('--stream <name>', 'only this stream')
    .option('--json', 'print JSON')
  withGroup(list)
  list.action(async (options: StateOptions) =>
    (await import('./commands/state.ts')).listState(settingsOf(list), options, output),
  )

  const drop = state
    .command('drop')
    .summary('delete what a step keeps')
    .description('Deletes what a step keeps. Prints what would change; does it with --execute.')
    .argument('<name>', "the step's name")
    .option('--key <key>', 'only this key')
    .option('--stream <name>', 'only this stream')
    .option('--execute', 'do it')
  withGroup(drop)
  drop.action(async (name: string, options: StateOptions) =>
    (await import('./commands/state.ts')).dropState(settingsOf(drop), name, options, output),
  )
}
