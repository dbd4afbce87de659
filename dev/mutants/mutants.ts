/**
 * Breaks of the guarantees, one at a time. Each is a change that a tired person could make, and each has to turn a test red.
 *
 * `find` stands exactly once in its file: a mutant that does not apply any more is an error, not a pass.
 */

export interface Mutant {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
  /** Where the tests stand that should see it. */
  readonly tests: readonly string[]
}

const commit = 'src/postgres/commit.ts'
const batch = 'src/runtime/batch.ts'
const falls = 'src/runtime/falls.ts'
const calls = 'src/runtime/asyncCalls.ts'
const memory = 'src/runtime/callMemory.ts'
const position = 'src/runtime/checkPosition.ts'
const closing = 'src/runtime/closeBatch.ts'
const store = ['test/integration/postgres/store.spec.ts']
const lost = ['test/integration/postgres/lost.spec.ts']
const laws = ['test/runtime']
const emits = ['test/runtime/emit.spec.ts', 'test/runtime/emitLaw.spec.ts']

export const mutants: readonly Mutant[] = [
  {
    name: 'the fence does not compare',
    file: 'src/postgres/migrations.ts',
    find: 'if strangers > 0 or present is null or not sources <@ present then',
    replace: 'if false then',
    tests: ['test/integration/postgres/fence.spec.ts', ...store],
  },
  {
    name: 'a lost fence is not raised',
    file: commit,
    find: 'throw sqlstateOf(error) === fenceLostState ? await fenceLost(link, request.claim, error) : error',
    replace: "if (sqlstateOf(error) !== fenceLostState) throw error\n    await link.begin('begin')",
    tests: store,
  },
  {
    name: 'progress is committed before the rows',
    file: commit,
    find: 'savepointRows}`)\n    try {',
    replace: "savepointRows}`)\n    await link.commit()\n    await link.begin('begin')\n    try {",
    tests: [...store, ...lost],
  },
  {
    name: 'ROLLBACK is taken for COMMIT',
    file: commit,
    find: "if (command === 'COMMIT') return",
    replace: "if (command !== '') return",
    tests: lost,
  },
  {
    name: 'a COMMIT without an answer is taken for done',
    file: commit,
    find: "return { kind: 'in doubt' }",
    replace: "return { kind: 'committed' }",
    tests: lost,
  },
  {
    name: 'a COMMIT without an answer is taken for undone',
    file: commit,
    find: "if (found === 'rolled back') {",
    replace: 'if (found) {',
    tests: lost,
  },
  {
    name: 'collected items are not written',
    file: commit,
    find: 'await inTransactionCollect(link, app, collected, maxKeptValueBytes, counted)',
    replace: '',
    tests: store,
  },
  {
    name: 'refused rows are blamed on the last item',
    file: 'src/postgres/guilt.ts',
    find: '  let accepted = 0\n',
    replace: '  if (stops.length > 0) return blame(stops, stops.length - 1, refusal)\n  let accepted = 0\n',
    tests: ['test/integration/postgres/guilt.spec.ts', 'test/integration/postgres/law.spec.ts'],
  },
  {
    name: 'upserts are not sorted by key',
    file: 'src/postgres/upsertRows.ts',
    find: '.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))',
    replace: '',
    tests: ['test/postgres', 'test/integration/postgres/upserts.spec.ts'],
  },
  {
    name: 'rows of undone items are written',
    file: batch,
    find: 'this.limit.isBeyond(owner) || this.falls.isUndone(owner) ?',
    replace: 'this.limit.isBeyond(owner) ?',
    tests: laws,
  },
  {
    name: 'what an undone item left in others stays',
    file: falls,
    find: '    if (this.#marks.hasJoined(owner)) this.#staleness.by(itemOf(owner))\n  }',
    replace: '  }',
    tests: laws,
  },
  {
    name: 'progress moves past the broken item',
    file: 'src/runtime/inputChunk.ts',
    find: 'records.offset(index) : records.nextOffset',
    replace: 'records.offset(index) + 1 : records.nextOffset',
    tests: laws,
  },
  {
    name: 'an item that clashed with an undone one stays undone',
    file: closing,
    find: 'batch.falls.reviveClashesAfter(first) || batch.falls.needReplay',
    replace: 'batch.falls.needReplay',
    tests: laws,
  },
  {
    name: 'a replay makes its calls again',
    file: memory,
    find: 'if (known === undefined) this.#answers.set(offsets, new Map([[key, call]]))',
    replace: 'if (known === undefined) this.#answers.set(offsets, new Map())',
    tests: laws,
  },
  {
    name: 'an answer is used for another input',
    file: memory,
    find: 'known !== undefined && isDeepStrictEqual(known.input, input) ? known : undefined',
    replace: 'input === known ? undefined : known',
    tests: ['test/operators/mapAsync.spec.ts'],
  },
  {
    name: 'what calls did takes effect in the order in which they ended',
    file: calls,
    find: '.sort((a, b) => turnOf(a.owner) - turnOf(b.owner) || a.ordinal - b.ordinal)',
    replace: '.sort(() => turnOf(0) * 0)',
    tests: laws,
  },
  {
    name: 'a signal that was swallowed goes unnoticed',
    file: 'src/runtime/drive.ts',
    find: '      if (syncWatch.raised !== undefined) throw swallowedSignal(batch, owner, info, syncWatch)\n    } catch (thrown) {\n      syncWatch',
    replace: '    } catch (thrown) {\n      syncWatch',
    tests: laws,
  },
  {
    name: 'a topic that was made anew goes unnoticed',
    file: position,
    find: '  if (fingerprint === null) return',
    replace: '  if (fingerprint !== "") return',
    tests: laws,
  },
  {
    name: 'a gap in the log goes unnoticed',
    file: position,
    find: 'if (nextOffset < start) {',
    replace: 'if (nextOffset < 0) {',
    tests: laws,
  },
  {
    name: 'aborted transactions are read',
    file: 'src/kafka/records/abortedTransactions.ts',
    find: 'return batch.transactional && this.#open.has(batch.producerId)',
    replace: 'return batch.transactional && this.#open.has(-7n)',
    tests: ['test/kafka/records'],
  },
  {
    name: 'what was committed keeps its share of the buffer',
    file: 'src/runtime/inbox.ts',
    find: 'if (chunk !== undefined) this.#settings.budget.give(chunk.byteSize, chunk.size)',
    replace: 'void chunk',
    tests: laws,
  },
  {
    name: 'a group is taken for its last member',
    file: 'src/postgres/guilt.ts',
    find: 'position: (owner: number) => tried.get(owner),',
    replace:
      'position: (owner: number) => ((request.position(owner) ?? 1e9) <= Math.max(...tried.values()) ? request.position(owner) : undefined),',
    tests: ['test/simulation'],
  },
  {
    name: 'nobody goes on with a partition whose heir is dead',
    file: 'src/runtime/runner.ts',
    find: 'void this.#claimAgain(stream, partitions, isFree ? 0 : claimAgainMs)',
    replace: 'void 0',
    tests: [...laws, 'test/testing/stories.spec.ts'],
  },
  {
    name: 'the clock can be set back',
    file: 'src/core/clock.ts',
    find: 'Math.floor(performance.timeOrigin + performance.now())',
    replace: 'Date.now()',
    tests: ['test/core/clock.spec.ts'],
  },
  {
    name: 'a partition that is not known yet ends the member',
    file: 'src/kafka/queries.ts',
    find: 'if (found === undefined) {',
    replace: "if (found === undefined) {\n      throw new TypeError('not known')",
    tests: ['test/integration/kafka/grow.spec.ts'],
  },
  {
    name: 'commits of a process that has lost its claim are not held against it',
    file: 'src/postgres/progress.ts',
    find: "  if (row === undefined || row.owner !== claim.owner) return 'taken over'\n",
    replace: '',
    tests: lost,
  },
  {
    name: 'what an item did to scopes and state is not taken back',
    file: 'src/runtime/ownerLog.ts',
    find: 'change !== undefined; change = this.#changes.pop()) change.undo()',
    replace: 'change !== undefined; change = this.#changes.pop()) change.seen?.()',
    tests: laws,
  },
  {
    name: 'whoever looks at scopes or state depends on nobody',
    file: 'src/runtime/ownerLog.ts',
    find: '      this.#join(this.last)\n      this.#forget()',
    replace: '      this.#forget()',
    tests: laws,
  },
  {
    name: 'what a result triggered stays when the result falls',
    file: falls,
    find: 'for (const stream of this.#triggeredBy(owner)) this.#withdraw',
    replace: 'for (const stream of this.#triggeredBy(owner)) if (stream < 0) this.#withdraw',
    tests: ['test/runtime/pipeLaw.spec.ts'],
  },
  {
    name: 'an item that was undone does not come to what depends on its stream',
    file: falls,
    find: 'if (this.#dependentsOf(owner).length === 0) return true',
    replace: 'if (streamOf(owner) >= 0) return true',
    tests: ['test/runtime/pipeLaw.spec.ts'],
  },
  {
    name: 'items behind a failed one of their key overtake it',
    file: 'src/runtime/applyPolicy.ts',
    find: '    batch.falls.park(item)\n    parked = true',
    replace: '    parked = false',
    tests: ['test/runtime/errorPolicy.spec.ts'],
  },
  {
    name: 'a stream is halted one item too late',
    file: 'src/runtime/errorBudget.ts',
    find: '#inARow >= inARow',
    replace: '#inARow > inARow',
    tests: ['test/runtime/errorBudget.spec.ts', 'test/runtime/errorPolicy.spec.ts'],
  },
  {
    name: 'state that somebody else has changed goes unnoticed',
    file: 'src/postgres/state.ts',
    find: 'if (Number(done) !== change.keys.length) throw',
    replace: 'if (Number(done) > change.keys.length) throw',
    tests: store,
  },
  {
    name: 'state of a batch that is run again is not what is stored',
    file: 'src/runtime/stateTable.ts',
    find: '      cell.restore()\n      if (cell.isGone)',
    replace: '      if (cell.isGone)',
    tests: ['test/runtime/stateLaw.spec.ts'],
  },
  {
    name: 'an item that fell behind one that left traces in state is not looked at again',
    file: falls,
    find: '      this.byOwner.delete(owner)\n      this.#onState.delete(owner)',
    replace: '      this.#onState.delete(owner)',
    tests: ['test/runtime/stateLaw.spec.ts'],
  },
  {
    name: 'who is late depends on nobody',
    file: 'src/runtime/keyedBarrier.ts',
    find: '        barrier.#batch.log.touch(barrier.#batch.item)\n',
    replace: '',
    tests: ['test/runtime/stateLaw.spec.ts'],
  },
  {
    name: 'the watermark is not kept with progress',
    file: 'src/runtime/graph.ts',
    find: 'newest.filter(([, time]) => Number.isFinite(time))',
    replace: 'newest.filter(([, time]) => Number.isNaN(time))',
    tests: ['test/runtime/stateLaw.spec.ts'],
  },
  {
    name: 'what was committed and not sent is not sent again',
    file: 'src/runtime/relay.ts',
    find: 'this.#send(emits)',
    replace: 'void emits',
    tests: emits,
  },
  {
    name: 'a batch commits before the one before is sent',
    file: closing,
    find: 'await relay.settled()',
    replace: '',
    tests: emits,
  },
  {
    name: 'a record is taken out of the outbox before it is acknowledged',
    file: 'src/runtime/relay.ts',
    find: 'this.#acknowledge(upTo)',
    replace: 'this.#acknowledge(upTo + 3)',
    tests: emits,
  },
  {
    name: 'an item that fell for a refused row emits all the same',
    file: 'src/runtime/relay.ts',
    find: 'asAppended && !batch.falls.any',
    replace: 'asAppended',
    tests: emits,
  },
]
