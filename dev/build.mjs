/** `npm run build`: dist/ from scratch, JavaScript and declarations. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const commandLine = `${root}dist/src/cli/main.js`

// Files of modules that no longer exist would be published too.
rmSync(`${root}dist`, { recursive: true, force: true })
const { status } = spawnSync(
  process.execPath,
  [`${root}node_modules/typescript/bin/tsc`, '-p', 'tsconfig.build.json'],
  {
    cwd: root,
    stdio: 'inherit',
  },
)
if (existsSync(commandLine)) chmodSync(commandLine, 0o755)
process.exitCode = status ?? 1
