/** `millrace describe` and `millrace graph`: they connect to nothing. */
import { describe, toMermaid } from '../../stream.ts'
import { loadPlan } from '../loadPlan.ts'
import type { Output } from '../output.ts'

export async function describeFile(file: string, cwd: string, { out }: Output): Promise<void> {
  out(`${describe(await loadPlan(file, cwd))}\n`)
}

export async function graphFile(file: string, cwd: string, { out }: Output): Promise<void> {
  out(`${toMermaid(await loadPlan(file, cwd))}\n`)
}
