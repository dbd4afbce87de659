/**
 * Keeps one service process and dies with the process that asked for it, however that one ends: its end of our standard
 * input closes even when it is killed with SIGKILL, and then the service is stopped and its folder removed.
 *
 * argv[2]: the JSON of a `GuardedCommand` (guarded.ts). Input lines: `start`. Output lines: `{"started":pid}`,
 * `{"failed":message}` and `{"exited":{"code","signal"}}`.
 */
import { spawn } from 'node:child_process'
import { openSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'

const command = JSON.parse(process.argv[2] ?? '')
const log = openSync(command.logFile, 'a')
/** @type {import('node:child_process').ChildProcess | undefined} */
let child
let stopping = false

process.stdout.on('error', () => {}) // the reader may be gone already
// Signals sent to a whole session must not end the guard before the service.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)

const input = createInterface({ input: process.stdin })
input.on('line', (line) => {
  if (line === 'start') start()
})
input.on('close', stop)

function start() {
  if (child !== undefined || stopping) return
  child = spawn(command.command, command.args, {
    cwd: command.cwd,
    env: command.env,
    uid: command.uid,
    gid: command.gid,
    stdio: ['ignore', log, log],
  })
  child.once('spawn', () => tell({ started: child?.pid }))
  child.once('error', (error) => {
    child = undefined
    tell({ failed: error.message })
    if (stopping) leave()
  })
  child.once('exit', (code, signal) => {
    child = undefined
    tell({ exited: { code, signal } })
    if (stopping) leave()
  })
}

function stop() {
  if (stopping) return
  stopping = true
  if (child === undefined) return leave()
  child.kill(command.stopSignal)
  setTimeout(() => child?.kill('SIGKILL'), 5_000)
}

function leave() {
  // A server's own children may still write for a moment after it.
  rmSync(command.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  process.exit(0)
}

/** @param {object} message */
function tell(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
