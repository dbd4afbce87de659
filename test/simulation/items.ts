/**
 * What has become of each item, as progress and the collector tell it after each COMMIT, and whether that may be: an item ends
 * once, done or ignored, or it is held in the collector; there it has one row, which grows with each failure.
 */
import type { Placed } from './expected.ts'
import type { Values } from './modelTable.ts'
import { type Deed, type Order, type Policy, parks, tries } from './orders.ts'

type Fate = 'done' | 'ignored' | 'failed'

/** An item in the collector. */
interface Kept {
  readonly state: string
  readonly attempts: number
  /** Failures before the last one. */
  readonly former: number
  readonly remembers: boolean
}

interface Known {
  readonly item: Placed
  /** `held`: in the collector, and not settled there. */
  standing: 'done' | 'ignored' | 'held'
  kept: Kept | undefined
}

/** Those whose callbacks throw: they may pass next time. */
const thrown: ReadonlySet<Deed> = new Set<Deed>([
  'throws',
  'rejects',
  'throws for a while',
  'rejects for a while',
  'throws for a while behind its call',
])

export class Items {
  /** Those that stand, in the order in which they were committed. */
  readonly done: Placed[] = []
  /** Those that were run, whatever became of them. */
  readonly ran: Placed[] = []
  readonly #policy: Policy
  readonly #known = new Map<string, Known>()
  readonly #marks = new Set<string>()
  readonly #accounts = new Set<string>()

  constructor(policy: Policy) {
    this.#policy = policy
  }

  /** How many are in the collector and not settled. */
  get held(): number {
    return this.#held().length
  }

  /** Whether those that are held wait for somebody to look, or behind such a one of their key: nothing comes of itself. */
  get areAtRest(): boolean {
    return this.#held().every(
      ({ item, kept }) =>
        kept?.state === 'open' ||
        (kept?.state === 'parked' && this.#before(item).some((other) => other.kept?.state === 'open')),
    )
  }

  /**
   * @param passed records before progress, in their order
   * @param rows of the collector
   * @throws Error when something became of an item that may not
   */
  follow(passed: readonly Placed[], rows: readonly Values[]): void {
    const collected = collectorRows(rows)
    for (const item of passed) {
      const name = nameOf(item)
      const kept = collected.get(name)
      collected.delete(name)
      try {
        this.#look(item, kept)
      } catch (error) {
        throw new Error(`item ${name} (${JSON.stringify(item.order)}): ${String(error)}`, { cause: error })
      }
    }
    const [stranger] = collected.keys()
    if (stranger !== undefined) throw new Error(`item ${stranger} is in the collector, and progress is before it`)
  }

  #look(item: Placed, kept: Kept | undefined): void {
    const known = this.#known.get(nameOf(item))
    const before = known?.kept
    if (known === undefined) this.#known.set(nameOf(item), this.#first(item, kept))
    else if (before === undefined || kept === undefined || known.standing !== 'held') {
      if (JSON.stringify(before) !== JSON.stringify(kept))
        throw new Error(`it was ${known.standing}, and goes from ${JSON.stringify(before)} to ${JSON.stringify(kept)}`)
    } else {
      known.standing = this.#again(item, before, kept)
      known.kept = kept
    }
  }

  /** Progress has gone past it. */
  #first(item: Placed, kept: Kept | undefined): Known {
    if (kept === undefined) {
      const [fate] = this.#fates(item, true).filter((one) => one !== 'failed')
      if (fate === undefined) throw new Error('it has to fail, and is not in the collector')
      return { item, standing: this.#end(item, fate as 'done' | 'ignored'), kept }
    }
    if (kept.state === 'parked') {
      // Whoever settles what it waits for need not be known to the task yet.
      if (!parks(this.#policy) || !this.#before(item).some((one) => one.kept !== undefined))
        throw new Error('it waits, and nothing of its key was ever before it')
      if (kept.attempts !== 0 || kept.former !== 0) throw new Error(`it was not run: ${JSON.stringify(kept)}`)
    } else {
      const expected = thrown.has(item.order.deed) && this.#policy === 'in place' ? tries[this.#policy] : 1
      this.#fail(item, true, kept, { attempts: expected, former: 0 })
    }
    return { item, standing: 'held', kept }
  }

  /** It was held. */
  #again(item: Placed, before: Kept, kept: Kept): Known['standing'] {
    if (kept.state === 'done') return this.#end(item, 'done')
    if (kept.state === 'ignored') {
      // Only what is open is ignored by the operator.
      return before.state === 'open' ? 'ignored' : this.#end(item, 'ignored', before)
    }
    if (kept.attempts !== before.attempts)
      this.#fail(item, false, kept, { attempts: before.attempts + 1, former: before.former + 1 })
    else if (kept.former !== before.former && kept.state !== 'parked')
      throw new Error(`it has another failure without another try: ${JSON.stringify([before, kept])}`)
    return 'held'
  }

  /** It was run to its end. */
  #end(item: Placed, fate: 'done' | 'ignored', before?: Kept): 'done' | 'ignored' {
    const isGivenUp = fate === 'ignored' && this.#givesUp(item.order, (before?.attempts ?? 0) + 1)
    if (!isGivenUp && !this.#fates(item, before === undefined).includes(fate)) throw new Error(`it cannot be ${fate}`)
    this.#run(item)
    if (fate === 'done') {
      this.done.push(item)
      if (item.order.deed === 'unique') this.#marks.add(item.order.key)
      if (item.order.deed === 'parent') this.#accounts.add(item.order.key)
    }
    return fate
  }

  /** It was run, and fell. */
  #fail(item: Placed, isFirst: boolean, kept: Kept, expected: Pick<Kept, 'attempts' | 'former'>): void {
    if (!this.#fates(item, isFirst).includes('failed')) throw new Error('it cannot fail')
    if (this.#givesUp(item.order, expected.attempts)) throw new Error('it has to be given up')
    this.#run(item)
    const { deed } = item.order
    const comesBack = thrown.has(deed) && parks(this.#policy) && expected.attempts < tries[this.#policy]
    const remembers = comesBack && deed === 'throws for a while behind its call'
    const state = comesBack ? 'deferred' : 'open'
    const is = { state: kept.state, attempts: kept.attempts, former: kept.former, remembers: kept.remembers }
    const should = { state, ...expected, remembers }
    if (JSON.stringify(is) !== JSON.stringify(should))
      throw new Error(`it is kept as ${JSON.stringify(is)} instead of ${JSON.stringify(should)}`)
  }

  /** Whether the soft policy has had enough of it. */
  #givesUp({ deed }: Order, attempts: number): boolean {
    return this.#policy === 'soft and park' && thrown.has(deed) && attempts >= tries[this.#policy]
  }

  #run(item: Placed): void {
    if (parks(this.#policy)) {
      const [earlier] = this.#before(item).filter(({ standing }) => standing === 'held')
      if (earlier !== undefined) throw new Error(`it was run before ${nameOf(earlier.item)}, which is of its key`)
    }
    if (!this.ran.includes(item)) this.ran.push(item)
  }

  /** What may become of it when it is run now. */
  #fates({ order: { key, deed } }: Placed, isFirst: boolean): readonly Fate[] {
    switch (deed) {
      case 'ignored':
      case 'ignored behind its rows':
        return ['ignored']
      case 'throws':
      case 'rejects':
      case 'refused':
      case 'refused in a group':
        return ['failed']
      case 'throws for a while':
      case 'rejects for a while':
      case 'throws for a while behind its call':
        return ['done', 'failed']
      case 'unique':
        return [this.#marks.has(key) ? 'failed' : 'done']
      case 'child':
        return [this.#accounts.has(key) ? 'done' : 'failed']
      case 'breaks off':
        // A break of an item that comes from the collector stops nothing but itself.
        return isFirst ? ['done'] : ['done', 'failed']
      default:
        return ['done']
    }
  }

  #before({ partition, offset, order }: Placed): readonly Known[] {
    return [...this.#known.values()].filter(
      ({ item }) => item.partition === partition && item.order.key === order.key && item.offset < offset,
    )
  }

  #held(): readonly Known[] {
    return [...this.#known.values()].filter(({ standing }) => standing === 'held')
  }
}

function nameOf({ partition, offset }: Placed): string {
  return `${partition}@${offset}`
}

function collectorRows(rows: readonly Values[]): Map<string, Kept> {
  const kept = new Map<string, Kept>()
  for (const { stream, partition, record_offset, state, attempts, history, remembered } of rows) {
    const name = `${partition}@${record_offset}`
    if (stream !== 'orders') throw new Error(`item ${name} fell in stream ${stream}`)
    if (kept.has(name)) throw new Error(`item ${name} is in the collector twice`)
    const former = (JSON.parse(history ?? '[]') as unknown[]).length
    kept.set(name, { state: state ?? '', attempts: Number(attempts), former, remembers: remembered !== null })
  }
  return kept
}
