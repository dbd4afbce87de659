/** Installs the dependencies when there are none: what a fresh clone needs before anything else. Only built-ins here. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))

// npm writes this file at the very end, so an installation that was cut off is done again.
if (!existsSync(`${root}node_modules/.package-lock.json`)) {
  console.error('Installing the dependencies (npm ci) …')
  // Also where NODE_ENV=production would leave the tools out.
  const { status, error } = spawnSync('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (status !== 0) {
    console.error(
      `The dependencies could not be installed: ${error?.message ?? `npm ci ended with exit code ${status}`}.`,
    )
    process.exit(1)
  }
}
