import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { exitCodeTexts } from '../../src/cli/exitCodes.ts'
import { settingsTable } from '../../src/cli/settingsTable.ts'

const text = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8')

/** Rows of the table whose head begins with this. */
function rowsUnder(head: string): string[] {
  const lines = text
    .slice(text.indexOf(`| ${head} |`))
    .split('\n')
    .slice(2)
  return lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith('|')),
  )
}

test('docs/cli.md has the settings as they are', () => {
  expect(rowsUnder('in the file')).toEqual(
    settingsTable.map((setting) => {
      const flag = setting.flag === undefined ? '' : `\`${setting.flag}\``
      return `| \`${setting.path}\` | \`${setting.env}\` | ${flag} | ${setting.text} |`
    }),
  )
})

test('docs/cli.md has the exit codes as they are', () => {
  expect(rowsUnder('code')).toEqual(exitCodeTexts.map(([code, meaning]) => `| ${code} | ${meaning} |`))
})
