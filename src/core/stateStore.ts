/**
 * Where keyed state is kept: beside the rows and the progress that it belongs to, so that it commits with them, nothing has to be
 * restored when a partition moves, and it can be looked at with SQL.
 */
import { PlanError } from './errors.ts'
import type { TaskId } from './taskId.ts'

/** A step that keeps state, as a plan describes it. */
export interface StateStep {
  readonly stream: string
  /** The step's name: state is found again under it. */
  readonly step: string
  /** What the state is made of. */
  readonly shape: string
}

/** State of one step in one task. */
export interface StateOf {
  readonly task: TaskId
  readonly step: string
}

/** A cell of a key. */
export interface StateRow {
  readonly key: string
  readonly at: number
  readonly value: string
  /** Event time from which on it is due, in milliseconds. */
  readonly due: number | null
  /** Goes up by one with every change. */
  readonly version: number
}

/** Cells that go together: all that are due by a time. */
export interface EndedCells {
  /** Event time, in milliseconds. No cell of the step and task stays that is due by then. */
  readonly upTo: number
  /** How many they are, and the sum of their versions. Where the store has others, the commit fails. */
  readonly cells: number
  readonly versions: number
}

/** Cells that a batch has changed: the columns of as many rows. */
export interface StateChanges {
  readonly step: string
  readonly keys: readonly string[]
  readonly ats: readonly number[]
  /** Null for a cell that is gone. */
  readonly values: readonly (string | null)[]
  readonly dues: readonly (number | null)[]
  /** As they were read, or written last; 0 for a cell that was not there. Where the store has another one, the commit fails. */
  readonly versions: readonly number[]
  /** Beside them, and before them. */
  readonly ended?: EndedCells | undefined
}

export interface StateStore {
  /**
   * Notes the steps of an application, and compares them with what was noted before.
   *
   * @throws PlanError MR-STATE-CHANGED when the state of a step is made of something else by now
   */
  open(app: string, steps: readonly StateStep[]): Promise<void>
  /** Whether there is none, and when something is due first. */
  extent(of: StateOf): Promise<{ readonly isEmpty: boolean; readonly firstDue: number | null }>
  /** All cells of some keys. */
  read(of: StateOf, keys: readonly string[]): Promise<readonly StateRow[]>
  /** All cells of the keys that have one which is due, in the order in which they are due, some at a time. */
  readDue(of: StateOf, range: DueRange): Promise<DueRows>
}

/** A key with a cell that is due. */
export interface DueKey {
  readonly due: number
  readonly key: string
}

export interface DueRange {
  /** What is due at this time, or before. */
  readonly upTo: number
  /** What comes behind this one. */
  readonly after: DueKey | undefined
  /** Cells that are due, at most. */
  readonly limit: number
}

export interface DueRows {
  readonly rows: readonly StateRow[]
  /** The last one that is due of them; undefined for none. */
  readonly last: DueKey | undefined
  /** When the first is due of those that are left, also beyond the range; null for none. */
  readonly next: number | null
}

/** State was kept by another plan. */
export function stateChanged(app: string, { stream, step, shape }: StateStep, before: string): PlanError {
  return new PlanError('MR-STATE-CHANGED', {
    what: `step "${step}" keeps another kind of state than before`,
    why: `What is stored was made by: ${before}. The plan says: ${shape}.`,
    fix: `Go back to the plan of before; or give the step another name, with .named() or "name", so that it begins with no state; or drop what is stored: millrace state drop ${step} --group ${app} --stream ${stream} --execute.`,
    place: { stream, step },
  })
}
