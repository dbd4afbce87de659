import { describe, expect, it } from 'vitest'
import { table } from '../sinks/table.ts'
import { json, text } from '../src/codecs/index.ts'
import {
  describe as describeText,
  forgottenSinks,
  leavesOf,
  type Plan,
  type Stream,
  segment,
  stream,
  toMermaid,
} from '../src/stream.ts'
import { topic } from '../src/topic.ts'

interface Flight {
  readonly origin: string
  readonly delay: number
}

const flightTopic = topic('flights', json<Flight>())
const flights = () => stream('flights').from(flightTopic)

describe('a stream', () => {
  it('is immutable: every method answers with a new one', () => {
    const base = flights()
    const { node } = base
    const mapped = base.map((flight) => flight.delay)
    const filtered = base.filter(() => true)
    expect(base.node).toBe(node)
    expect(mapped.node).not.toBe(filtered.node)
    expect([mapped.node.inputs, filtered.node.inputs]).toEqual([[node], [node]])
    expect(Object.isFrozen(mapped.node)).toBe(true)
  })

  it('has a name that is not empty, and something to read', () => {
    expect(() => stream('')).toThrow(/needs a name.*MR-PLAN-NAME/)
    for (const name of ['a\0', '\ud800']) expect(() => stream(name)).toThrow(/surrogate pair.*MR-PLAN-NAME/s)
    expect(() => stream('s').from({ kind: 'table', name: 'x' } as never)).toThrow(
      /from\(\) cannot read.*MR-PLAN-INPUT/s,
    )
  })

  it('refuses what is not in this release by name, also from JavaScript', () => {
    const untyped = flights() as unknown as Record<string, () => void>
    expect(() => untyped.keyBy?.()).toThrow(
      /keyBy\(\) without \{ sameKey: true \} is not in this release.*MR-PLAN-LATER/s,
    )
    expect(() => untyped.window?.()).toThrow(/window\(\) needs keys.*MR-PLAN-KEY/s)
  })
})

describe('a plan', () => {
  it('is a stream or a list of them', () => {
    const base = flights()
    expect(leavesOf(base)).toEqual([{ name: 'flights', node: base.node }])
    expect(leavesOf([base, base.map(() => 1)]).map(({ name }) => name)).toEqual(['flights', 'flights'])
  })

  it('is refused when it is empty or holds something else', () => {
    expect(() => leavesOf([])).toThrow(/an empty list: nothing would run.*MR-PLAN-EMPTY/)
    expect(() => leavesOf([flights(), 5] as unknown as Plan)).toThrow(
      /entry 2 of the plan is no stream.*MR-PLAN-NOT-A-STREAM/s,
    )
    expect(() => leavesOf(undefined as unknown as Plan)).toThrow('MR-PLAN-NOT-A-STREAM')
    expect(() => leavesOf(null as unknown as Plan)).toThrow('MR-PLAN-NOT-A-STREAM')
  })

  it('is refused when one name has two sources', () => {
    expect(() => leavesOf([flights(), flights()])).toThrow(
      /two streams are called "flights".*one name is one source.*MR-PLAN-SOURCE/s,
    )
  })

  it('may have leaves of one name that begin at sources which another one joins', () => {
    const [left, right, third] = [flights(), flights(), flights()]
    const keyed = (from: Stream<Flight>) => from.keyBy(({ origin }) => origin, { sameKey: true })
    const joined = keyed(left).joinLatest(keyed(right), (one, other) => [one, other])
    expect(leavesOf([right, left, joined])).toHaveLength(3)
    expect(() => leavesOf([joined, third])).toThrow('MR-PLAN-SOURCE')
  })
})

describe('drawing', () => {
  const base = flights()
  const [late, early] = base.filter(() => true).branch((flight) => flight.delay > 60)
  const plan = [
    late.to(table('late')),
    early
      .batch({ max: 25, maxWaitMs: 500 })
      .flatten()
      .merge(late.mapAsync(async (flight) => flight, { concurrency: 4 }))
      .to(table('totals', { key: 'origin' }), ({ origin }) => ({ origin })),
  ]

  it('gives a plan as text, one step a line, what branches off indented', () => {
    expect(
      describeText(plan)
        .split('\n')
        .map((line) => line.trimEnd()),
    ).toEqual([
      'stream "flights"',
      '  from:flights         topic flights, json',
      '  filter',
      '  branch',
      '    branch:yes           when true',
      '      to:late              table late',
      '      mapAsync             concurrency 4, order key, timeout 30000 ms',
      '      merge',
      '      to:totals            table totals, upsert by origin',
      '    branch:no            when false',
      '    batch                max 25, maxWaitMs 500',
      '    flatten',
      '    → merge',
    ])
  })

  it('gives it as Mermaid, every step and every way once', () => {
    const drawn = toMermaid(plan)
    expect(drawn.split('\n')[0]).toBe('flowchart LR')
    expect(drawn.match(/subgraph "stream flights"/g)).toHaveLength(1)
    expect(drawn.match(/\[\("from:flights<br\/>topic flights, json"\)\]/g)).toHaveLength(1)
    expect(drawn.match(/-->/g)).toHaveLength(11)
  })

  it('escapes what Mermaid would read otherwise', () => {
    expect(stream('a "b"').from(topic('t', text())).toMermaid()).toContain('stream a #quot;b#quot;')
  })

  it('knows a segment by its name', () => {
    const late = segment('late', (of: Stream<Flight>) =>
      of.filter((flight) => flight.delay > 0).map((flight) => flight.delay),
    )
    expect(flights().via(late).describe()).toContain('late/filter')
  })

  it('connects to nothing and calls nothing', () => {
    const explode = () => {
      throw new Error('called')
    }
    expect(() => describeText(flights().map(explode).to(table('t'), explode))).not.toThrow()
  })
})

describe('a stream that writes and is in no plan', () => {
  it('is named, until a plan has it', async () => {
    const saved = stream('forgotten').from(flightTopic).to(table('saved'))
    expect(forgottenSinks()).toContain('forgotten: to:saved')
    leavesOf(saved)
    expect(forgottenSinks()).not.toContain('forgotten: to:saved')
  })

  it('is not named when a later step of it is in the plan', () => {
    const saved = stream('passing').from(flightTopic).to(table('saved'))
    leavesOf(saved.map((flight) => flight.delay))
    expect(forgottenSinks()).not.toContain('passing: to:saved')
  })

  it('goes by its own name when it has one', () => {
    const saved = stream('renamed').from(flightTopic).to(table('saved')).named('store')
    expect(forgottenSinks().filter((name) => name.startsWith('renamed'))).toEqual(['renamed: store'])
    leavesOf(saved)
    expect(forgottenSinks().filter((name) => name.startsWith('renamed'))).toEqual([])
  })
})
