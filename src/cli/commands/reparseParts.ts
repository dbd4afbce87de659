/** What both kinds of `millrace reparse` take, and how they stop. */
import { constants } from 'node:os'
import type { OutcomeCounts } from '../../core/outcome.ts'
import type { Output } from '../output.ts'
import { count } from '../progressLine.ts'

export interface ReparseOptions {
  readonly stream?: string
  readonly partition?: string
  readonly fromOffset?: string
  readonly toOffset?: string
  readonly fromTime?: string
  readonly toTime?: string
  readonly key?: string
  readonly fingerprint?: string
  readonly resume?: string
  readonly shadow?: boolean
  readonly execute?: boolean
  readonly json?: boolean
}

export interface ReparseSurroundings extends Output {
  readonly cwd: string
  /** Whether somebody watches what goes to `err`. */
  readonly terminal?: boolean | undefined
}

/** `3 done, 1 ignored` */
export function outcomesText(outcomes: OutcomeCounts): string {
  return Object.entries(outcomes)
    .filter(([, number]) => number > 0)
    .map(([name, number]) => `${count(number)} ${name}`)
    .join(', ')
}

/** The first signal ends the work after the batch at hand, the second the process. */
export async function untilSignal<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stopping = new AbortController()
  const handle = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) process.exit(128 + constants.signals[signal])
    stopping.abort()
  }
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const signal of signals) process.on(signal, handle)
  try {
    return await work(stopping.signal)
  } finally {
    for (const signal of signals) process.off(signal, handle)
  }
}
