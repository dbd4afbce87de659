/**
 * A story, played: real services over the models, in virtual time. The same story gives the same trace.
 *
 * After every COMMIT that the database carries out, before anybody learns of it, rows have to be those of the items that
 * progress has passed and that stand; progress may not go back. In the end everything is committed, and nothing is left in the
 * error collector that nobody has settled.
 */
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { leavesOf } from '../../src/stream.ts'
import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'
import { VirtualClock } from '../../src/testing/virtualClock.ts'
import { Answers } from './answers.ts'
import type { Placed } from './expected.ts'
import { Invariants } from './invariants.ts'
import { ModelDatabase } from './modelDatabase.ts'
import { ModelServer } from './modelServer.ts'
import { Operator, type OperatorAction } from './operator.ts'
import { orders, ordersPlan, tables } from './orders.ts'
import { Producers } from './producers.ts'
import { randomNumbers } from './random.ts'
import { codeOf, SimulatedProcess } from './simulatedProcess.ts'
import { type Disaster, type Fault, horizonMs, type Story } from './story.ts'

export interface Outcome {
  /** Of every message, fault and end of a process, with its moment. */
  readonly traceHash: string
  readonly records: number
  readonly commits: number
  readonly faults: number
  /** Virtual milliseconds from the last moment at which something could go wrong to that at which all was committed. */
  readonly recoveryMs: number
}

const group = 'simulated'
const sessionMs = 10_000
const restartMs = 1_000
/** Within which everything has to be committed, once nothing is disturbed any more. */
const patienceMs = 180_000
/** Errors that end a process which could not go on; it is started again. */
const passing = /^MR-PG-(LOST|BUSY|UNREACHABLE|CLOSED|IN-DOUBT|CHANGED)$|^MR-RETRY|^MR-BATCH/

/** @throws Error when a law is broken, with the last lines of the trace */
export async function simulate(story: Story, tell?: (line: string) => void): Promise<Outcome> {
  return new Simulation(story, tell).play()
}

class Simulation {
  readonly #story: Story
  readonly #clock = new VirtualClock(Date.UTC(2026, 0, 1))
  readonly #startMs = this.#clock.now()
  readonly #hash = createHash('sha256')
  readonly #tail: string[] = []
  readonly #tell: ((line: string) => void) | undefined
  readonly #random: (below: number) => number
  readonly #broker
  readonly #database = new ModelDatabase(tables)
  readonly #server: ModelServer
  readonly #invariants: Invariants
  readonly #operator: Operator
  readonly #processes: SimulatedProcess[] = []
  readonly #producers: Producers
  #partitions: number
  #started = 0
  #slowUntilMs = 0
  /** Whether there are other records now than those that were sent. */
  #isOver = false
  #mayEndWith = /^$/
  /** Processes that ended with what they may end with. */
  #refusals = 0
  #failure: { readonly error: unknown } | undefined

  constructor(story: Story, tell?: (line: string) => void) {
    this.#story = story
    this.#tell = tell
    this.#random = randomNumbers(story.seed)
    this.#partitions = story.partitions
    this.#broker = createMemoryBroker({ chunkRecords: story.chunk })
    this.#broker.createTopic(orders.name, story.partitions)
    this.#server = new ModelServer(this.#database, {
      clock: this.#clock,
      latency: () => this.#latency(),
      note: (text) => this.#note(text),
      broken: (error) => {
        this.#failure ??= { error }
      },
    })
    this.#producers = new Producers(this.#broker, this.#clock, story.partitions, (text) => this.#note(text))
    this.#invariants = new Invariants(this.#database, this.#producers.placed, story.policy)
    this.#operator = new Operator(group, this.#server, this.#clock)
    this.#database.onCommit = () =>
      this.#mind(() => (this.#isOver ? this.#invariants.lookAtProgress() : this.#invariants.look()))
  }

  async play(): Promise<Outcome> {
    const { sent, faults, processes, asked } = this.#story
    for (let count = 0; count < processes; count++) this.#start()
    sent.forEach((sending, id) => void this.#clock.schedule(sending.atMs, () => this.#producers.send(sending, id)))
    for (const { atMs, fault } of faults) this.#clock.schedule(atMs, () => this.#strike(fault))
    for (const { atMs, action } of asked) this.#clock.schedule(atMs, () => void this.#ask(action))
    await this.#run(horizonMs, () => false)
    this.#calm()
    const lastFaultMs = this.#clock.now()
    await this.#untilAtRest()
    const recoveryMs = this.#clock.now() - lastFaultMs
    await this.#settleAll()
    this.#invariants.atTheEnd()
    if (this.#story.disaster !== undefined) await this.#endWith(this.#story.disaster)
    return {
      traceHash: this.#hash.digest('hex'),
      records: this.#producers.placed.length,
      commits: this.#invariants.commits,
      faults: faults.length,
      recoveryMs,
    }
  }

  /** Lets time pass; true as soon as the condition holds. */
  async #run(ms: number, isDone: () => boolean): Promise<boolean> {
    const end = this.#clock.now() + ms
    for (;;) {
      // Everything that follows from an event does so in promises, which one turn of the event loop works off.
      await nextTurn()
      this.#throwFailure()
      if (isDone()) return true
      if (!this.#clock.step(end)) return false
    }
  }

  /** Everything is committed, and what is in the collector waits for somebody. */
  async #untilAtRest(): Promise<void> {
    const { items } = this.#invariants
    const isDone = () => this.#producers.areDone && this.#invariants.isComplete(this.#ends()) && items.areAtRest
    if (!(await this.#run(patienceMs, isDone)))
      this.#fail(`not everything is committed: ${this.#invariants.standing()}`)
    this.#throwFailure()
  }

  /** What can still come to something does when it is replayed; the rest is ignored, one after the other where some wait for others. */
  async #settleAll(): Promise<void> {
    for (let action: OperatorAction = 'replay'; this.#invariants.items.held > 0; action = 'ignore') {
      let isAnswered = false
      void this.#ask(action).then(() => {
        isAnswered = true
      })
      if (!(await this.#run(patienceMs, () => isAnswered))) this.#fail('the operator is not answered')
      await this.#untilAtRest()
    }
  }

  async #ask(action: OperatorAction): Promise<void> {
    try {
      this.#note(`operator: ${await this.#operator.ask(action)}`)
    } catch (error) {
      this.#failure ??= { error }
    }
  }

  #start(): void {
    const answers = new Answers()
    const process: SimulatedProcess = new SimulatedProcess({
      name: `p${this.#started++}`,
      group,
      leaves: leavesOf(
        ordersPlan({
          policy: this.#story.policy,
          now: () => this.#clock.now(),
          answered: (order) => this.#mind(() => answers.came(order)),
        }),
      ),
      taken: (items) => answers.taken(items),
      maxItems: this.#story.maxItems,
      broker: this.#broker,
      server: this.#server,
      clock: this.#clock,
      latency: () => this.#latency(),
      note: (text) => this.#note(text),
      onEnd: ({ killed, error }) => {
        const why = killed ? 'is killed' : error === undefined ? 'ends' : `ends with ${codeOf(error)}`
        this.#note(`${process.name} ${why}`)
        if (this.#mayEndWith.test(codeOf(error))) this.#refusals++
        else if (error !== undefined && !passing.test(codeOf(error))) this.#failure ??= { error }
        this.#broker.expel(process.client)
        this.#server.forget(process, this.#random(3) === 0 ? sessionMs : this.#latency())
        this.#processes.splice(this.#processes.indexOf(process), 1)
        this.#clock.schedule(restartMs, () => this.#start())
      },
    })
    this.#processes.push(process)
    this.#note(`${process.name} starts`)
  }

  #strike(fault: Fault): void {
    const process = 'process' in fault ? this.#processes[fault.process % this.#processes.length] : undefined
    this.#note(`${process?.name ?? ''} ${JSON.stringify(fault)}`)
    switch (fault.kind) {
      case 'kill':
        process?.kill()
        return
      case 'doom':
        if (process !== undefined) process.doom = fault
        return
      case 'pause':
        if (process !== undefined) this.#pause(process, fault.forMs)
        return
      case 'terminate':
        process?.terminate()
        return
      case 'expel':
        if (process !== undefined) this.#expel(process)
        return
      case 'clock jump':
        process?.jump(fault.byMs)
        return
      case 'join':
        this.#start()
        return
      case 'rebalance':
        this.#broker.rebalance(group)
        return
      case 'database crash':
        this.#server.crash(fault.downMs)
        return
      case 'backends terminated':
        this.#server.terminate()
        return
      case 'slow network':
        this.#slowUntilMs = this.#clock.now() + fault.forMs
        return
      case 'partitions added':
        this.#partitions += fault.count
        this.#broker.addPartitions(orders.name, this.#partitions)
        return
      case 'gap':
        this.#broker.skip(orders.name, fault.partition % this.#partitions, fault.positions)
        return
      case 'retention': {
        const partition = fault.partition % this.#partitions
        this.#broker.deleteBefore(orders.name, partition, this.#invariants.positionOf(partition))
        return
      }
      default:
        fault satisfies never
    }
  }

  /** Stopped for longer than its session, it is given up by the group, and learns so when it goes on. */
  #pause(process: SimulatedProcess, ms: number): void {
    process.pause()
    if (ms > sessionMs) this.#clock.schedule(sessionMs, () => this.#expel(process))
    this.#clock.schedule(ms, () => process.resume())
  }

  #expel(process: SimulatedProcess): void {
    if (process.state === 'dead') return
    this.#broker.expel(process.client)
    const readmit = () => {
      if (process.state === 'stopped') this.#clock.schedule(this.#heartbeatMs(), readmit)
      else if (process.state === 'running') this.#broker.readmit(process.client)
    }
    this.#clock.schedule(this.#heartbeatMs(), readmit)
  }

  /** No more faults from now on. */
  #calm(): void {
    this.#note('calm')
    this.#slowUntilMs = 0
    for (const process of this.#processes) process.resume()
  }

  /**
   * Records that progress has passed are not there any more, or are others. No process may go on as if nothing had happened:
   * where something was lost, each says what it found and ends, and nothing is committed any more.
   */
  async #endWith(disaster: Disaster): Promise<void> {
    const isLost = ({ partition, offset }: Placed) =>
      disaster.kind === 'recreated' ||
      offset >= Math.max(disaster.keep, this.#broker.bounds({ topic: orders.name, partition }).start)
    // Positions behind the last record that was taken, of markers and aborted records, are not recognised by anything.
    const partitions = [...this.#ends().keys()]
    const harmed = partitions
      .filter((partition) => this.#producers.placed.some((record) => record.partition === partition && isLost(record)))
      .map((partition) => ({ partition, position: this.#invariants.positionOf(partition) }))
    this.#note(`${JSON.stringify(disaster)} of ${JSON.stringify(harmed)}`)
    this.#isOver = true
    this.#mayEndWith = /^MR-(SOURCE-|KAFKA-)/
    if (disaster.kind === 'truncated') {
      for (const partition of partitions) this.#broker.truncate(orders.name, partition, disaster.keep)
    } else {
      this.#broker.deleteTopic(orders.name)
      await this.#run(restartMs, () => false)
      this.#broker.createTopic(orders.name, this.#partitions)
    }
    if (harmed.length === 0) return
    await this.#run(restartMs, () => false)
    // As many as were there before, or more: now only what they are tells them from those that were read.
    const count =
      disaster.kind === 'recreated' ? disaster.records : 2 * Math.max(...harmed.map(({ position }) => position))
    for (let id = 0; id < count; id++) {
      // Good ones: where nothing was lost, what comes is processed.
      const value = orders.codec.encode({ id, key: 'a', deed: 'plain' })
      for (const partition of partitions) this.#broker.append(orders.name, partition, { key: Buffer.from('a'), value })
    }
    this.#refusals = 0
    // An owner may still wait for an answer that never comes.
    await this.#run(patienceMs, () => this.#refusals > 0)
    await this.#run(restartMs, () => false)
    for (const { partition, position } of harmed) {
      const now = this.#invariants.positionOf(partition)
      if (now !== position)
        throw new Error(`partition ${partition} went on from ${position} to ${now} over records that were not the same`)
    }
    if (this.#refusals === 0) throw new Error('nobody said that the log is not the one that was read')
  }

  #ends(): ReadonlyMap<number, number> {
    return new Map(
      Array.from({ length: this.#partitions }, (_, partition) => [
        partition,
        this.#broker.bounds({ topic: orders.name, partition }).end,
      ]),
    )
  }

  #heartbeatMs(): number {
    return 1 + this.#random(3_000)
  }

  #latency(): number {
    const slow = this.#clock.now() < this.#slowUntilMs
    return slow ? this.#random(3_000) : 1 + this.#random(10)
  }

  #note(text: string): void {
    const line = `${this.#clock.now() - this.#startMs} ${text}`
    this.#hash.update(`${line}\n`)
    this.#tell?.(line)
    this.#tail.push(line)
    if (this.#tail.length > 60) this.#tail.shift()
  }

  /** Looks whether a law holds: where it throws, the story has failed. */
  #mind(look: () => void): void {
    try {
      look()
    } catch (error) {
      this.#failure ??= { error }
    }
  }

  #fail(what: string): void {
    this.#failure ??= { error: new Error(what) }
  }

  #throwFailure(): void {
    if (this.#failure === undefined) return
    const { error } = this.#failure
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    throw new Error(`${message}\nat the end of the trace:\n  ${this.#tail.join('\n  ')}`)
  }
}
