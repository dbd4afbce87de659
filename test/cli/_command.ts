/** Runs command lines in this process. */
import { fileURLToPath } from 'node:url'
import { runProgram } from '../../src/cli/program.ts'

export const here = fileURLToPath(new URL('.', import.meta.url))

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export async function millrace(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd = here,
  input = '',
): Promise<Ran> {
  let out = ''
  let err = ''
  const code = await runProgram(args, {
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    env,
    cwd,
    input: async () => Buffer.from(input),
  })
  return { code, out, err }
}
