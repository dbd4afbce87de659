import type { RowBuffer, Sink } from '../../../src/core/sink.ts'
import { type Claim, type CommitRequest, RowsRefused, type Store, type TaskId } from '../../../src/core/store.ts'

export const task: TaskId = { app: 'app', stream: 'flights', partition: 0 }
export const source = 'from:flights'

/** A task that writes some tables: its claim, and its buffers by table. */
export class Member {
  readonly store: Store
  readonly claim: Claim
  readonly buffers: readonly RowBuffer[]

  private constructor(store: Store, claim: Claim, buffers: readonly RowBuffer[]) {
    this.store = store
    this.claim = claim
    this.buffers = buffers
  }

  static async claim(store: Store, sinks: readonly Sink<never>[], of: TaskId = task): Promise<Member> {
    const claim = await store.claim(of, [{ source, nextOffset: 0, fingerprint: null }])
    return new Member(store, claim, store.createBuffers(sinks))
  }

  append(table: string, row: object, owner: number): void {
    const buffer = this.buffers.find(({ sink }) => sink.name === table)
    if (buffer === undefined) throw new Error(`no buffer for ${table}`)
    buffer.append(row, owner)
  }

  /** Commits what the buffers hold, and empties them when that went well. */
  async commit(nextOffset: number, more: Partial<CommitRequest> = {}): Promise<void> {
    await this.store.commit({
      claim: this.claim,
      progress: [{ source, nextOffset, fingerprint: null }],
      buffers: this.buffers,
      position: (owner) => owner,
      allInOrder: true,
      collected: [],
      settled: [],
      budget: null,
      halted: null,
      ...more,
    })
    for (const buffer of this.buffers) buffer.truncate(0)
  }

  /** Commits, and answers with who was to blame. */
  async blamed(nextOffset: number, more: Partial<CommitRequest> = {}) {
    try {
      await this.commit(nextOffset, more)
    } catch (error) {
      if (!(error instanceof RowsRefused)) throw error
      return { owner: error.owner, table: error.table, sqlstate: error.sqlstate }
    }
    return 'nobody'
  }
}
