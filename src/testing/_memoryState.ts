/** Keyed state of a store in memory. */
import {
  type DueRange,
  type DueRows,
  type EndedCells,
  type StateChanges,
  type StateOf,
  type StateRow,
  type StateStep,
  type StateStore,
  stateChanged,
} from '../core/stateStore.ts'
import { StateStaleError, type TaskId } from '../core/store.ts'

/** Cells of one step in one task, by key and place. */
type Cells = ReadonlyMap<string, StateRow>

export class MemoryState implements StateStore {
  readonly #shapes = new Map<string, string>()
  #cells: ReadonlyMap<string, Cells> = new Map()

  /** What is kept, for tests. */
  get rows(): readonly (StateRow & { readonly step: string })[] {
    return [...this.#cells].flatMap(([of, cells]) =>
      [...cells.values()].map((row) => ({ ...row, step: (JSON.parse(of) as string[])[2] as string })),
    )
  }

  async open(app: string, steps: readonly StateStep[]): Promise<void> {
    for (const { stream, step, shape } of steps) {
      const name = JSON.stringify([app, stream, step])
      const before = this.#shapes.get(name)
      if (before !== undefined && before !== shape) {
        const isEmpty = ![...this.#cells].some(
          ([of, cells]) => of.startsWith(`${name.slice(0, -1)},`) && cells.size > 0,
        )
        if (!isEmpty) throw stateChanged(app, { stream, step, shape }, before)
      }
      this.#shapes.set(name, shape)
    }
  }

  async extent(of: StateOf) {
    const dues = this.#of(of).flatMap(({ due }) => due ?? [])
    return { isEmpty: this.#of(of).length === 0, firstDue: dues.length === 0 ? null : Math.min(...dues) }
  }

  async read(of: StateOf, keys: readonly string[]): Promise<readonly StateRow[]> {
    const wanted = new Set(keys)
    return this.#of(of).filter(({ key }) => wanted.has(key))
  }

  async readDue(of: StateOf, { upTo, after, limit }: DueRange): Promise<DueRows> {
    const due = this.#of(of)
      .flatMap(({ due, key }) => (due === null ? [] : [{ due, key }]))
      .sort((a, b) => a.due - b.due || (a.key < b.key ? -1 : 1))
      .filter((row) => after === undefined || row.due > after.due || (row.due === after.due && row.key > after.key))
    const wanted = due.slice(0, limit).filter((row) => row.due <= upTo)
    const rows = await this.read(
      of,
      wanted.map(({ key }) => key),
    )
    return { rows, last: wanted.at(-1) ?? after, next: due[wanted.length]?.due ?? null }
  }

  /** What is kept when the changes are done. @throws StateStaleError */
  changed(task: TaskId, changes: readonly StateChanges[]): ReadonlyMap<string, Cells> {
    const all = new Map(this.#cells)
    for (const { step, keys, ats, values, dues, versions, ended } of changes) {
      const name = nameOf({ task, step })
      const cells = new Map(all.get(name))
      if (ended !== undefined) end(cells, ended, step)
      for (const [index, key] of keys.entries()) {
        const at = ats[index] as number
        const place = JSON.stringify([key, at])
        const version = cells.get(place)?.version ?? 0
        if (version !== versions[index]) throw stale(step)
        const value = values[index] ?? null
        if (value === null) cells.delete(place)
        else cells.set(place, { key, at, value, due: dues[index] ?? null, version: version + 1 })
      }
      all.set(name, cells)
    }
    return all
  }

  commit(cells: ReadonlyMap<string, Cells>): void {
    this.#cells = cells
  }

  #of(of: StateOf): StateRow[] {
    return [...(this.#cells.get(nameOf(of))?.values() ?? [])]
  }
}

/** Takes out all that is due by a time. @throws StateStaleError when that is not what was read */
function end(cells: Map<string, StateRow>, ended: EndedCells, step: string): void {
  let count = 0
  let versions = 0
  for (const [place, { due, version }] of cells) {
    if (due === null || due > ended.upTo) continue
    cells.delete(place)
    count++
    versions += version
  }
  if (count !== ended.cells || versions !== ended.versions) throw stale(step)
}

function stale(step: string): StateStaleError {
  return new StateStaleError('MR-STATE-STALE', { what: `state of step "${step}" is not what was read` })
}

/** The same, asked by way of `answer`. */
export function stateOf(state: StateStore, answer: <T>(ask: () => Promise<T>) => Promise<T>): StateStore {
  return {
    open: (app, steps) => answer(() => state.open(app, steps)),
    extent: (of) => answer(() => state.extent(of)),
    read: (of, keys) => answer(() => state.read(of, keys)),
    readDue: (of, range) => answer(() => state.readDue(of, range)),
  }
}

function nameOf({ task: { app, stream, partition }, step }: StateOf): string {
  return JSON.stringify([app, stream, step, partition])
}
