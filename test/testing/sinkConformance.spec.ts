import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import type { RowBuffer, Sink } from '../../src/core/sink.ts'
import { type CommitRequest, RowsRefused, type Store } from '../../src/core/store.ts'
import { MemoryStore, type MemoryStoreOptions, type SinkFeatures, sinkConformance } from '../../src/testing/index.ts'

interface Seat {
  seat: string
  taken: number
  first: string
  low: number | null
}

const seats = table<Seat>('seats')
const upserted = table<Seat>('seats', { key: 'seat', onConflict: { taken: 'add', first: 'keep', low: 'min' } })
const everything: SinkFeatures = { transactional: true, perItemRollback: true, upsert: true }
const plain: SinkFeatures = { ...everything, upsert: false }

const rows = fc.record({
  seat: fc.constantFrom('A', 'B', 'C'),
  taken: fc.nat(3),
  first: fc.constantFrom('x', 'y'),
  low: fc.option(fc.integer({ min: -2, max: 2 })),
})

interface Subject {
  readonly sink?: Sink<Seat>
  readonly features?: SinkFeatures
  readonly store?: MemoryStoreOptions
  readonly refuses?: (row: Seat, present: readonly Seat[]) => boolean
  readonly broken?: (store: MemoryStore) => Store & { rows?(table: string): readonly object[] }
}

function conforms({ sink = seats, features = plain, store: options = {}, refuses, broken }: Subject): Promise<void> {
  const make = async () => {
    const memory = new MemoryStore(options)
    const store = broken?.(memory) ?? memory
    return { store, sink, rows: async () => (store.rows ?? memory.rows).call(memory, sink.name), close: async () => {} }
  }
  return sinkConformance(make, features, { rows, seed: 1, ...(refuses === undefined ? {} : { refuses }) })
}

const taken = (row: { seat?: unknown }, present: readonly { seat?: unknown }[]) =>
  present.some(({ seat }) => seat === row.seat)

describe('sinkConformance passes', () => {
  it('the memory store, adding rows', () => conforms({}))

  it('the memory store, writing some of the columns', () =>
    conforms({ sink: table<Seat>('seats', { columns: ['seat', 'first'] }) }))

  it('the memory store, refusing rows by a check', () =>
    conforms({
      store: { refuses: (_, { low }) => (low === -2 ? '23514' : undefined) },
      refuses: ({ low }) => low === -2,
    }))

  it('the memory store, refusing rows by a unique index', () =>
    conforms({ store: { refuses: (_, row, present) => (taken(row, present) ? '23505' : undefined) }, refuses: taken }))

  it('the memory store, upserting', () => conforms({ sink: upserted, features: everything }))

  it('the memory store, upserting by two columns', () =>
    conforms({
      sink: table<Seat>('seats', { key: ['seat', 'first'], onConflict: { low: 'max' } }),
      features: everything,
    }))

  it('the memory store, leaving what is there', () =>
    conforms({ sink: table<Seat>('seats', { key: 'seat', onConflict: 'nothing' }), features: everything }))

  it('a sink that promises less', () => {
    const everybody = (store: MemoryStore) => changed(store, (request) => ({ ...request, position: (owner) => owner }))
    return conforms({ broken: everybody, features: { transactional: true, perItemRollback: false, upsert: false } })
  })
})

describe('sinkConformance names what a sink breaks', () => {
  it('rows of undone owners that are written', async () => {
    const everybody = (store: MemoryStore) =>
      changed(store, (request) => ({ ...request, position: (owner) => request.position(owner) ?? 0 }))
    await expect(conforms({ broken: everybody })).rejects.toThrow(
      /rows of undone owners are absent\nwith one row:\n {2}1\. \{ first: 'x', .* \} {2}← its owner may be undone\n {2}unexpected: \{ first: 'x', .*sinkConformance\(make, features, \{ \.\.\.options, replay: 'undone:/s,
    )
  })

  it('a fence that nobody looks at', async () => {
    const unfenced = (store: MemoryStore) => {
      let present = { owner: '', version: 0 }
      return proxied(store, {
        claim: async (...given) => {
          const claim = await store.claim(...given)
          present = claim
          return claim
        },
        commit: (request) => store.commit({ ...request, claim: Object.assign(request.claim, present) }),
      })
    }
    await expect(conforms({ broken: unfenced })).rejects.toThrow('a commit without the fence is refused')
  })

  it('rows that are visible before the commit', async () => {
    const eager = (store: MemoryStore) => {
      const visible: object[] = []
      return Object.assign(
        buffering(store, (buffer) => ({
          append(row, owner) {
            visible.push(row)
            Object.getPrototypeOf(buffer).append.call(buffer, row, owner)
          },
        })),
        { rows: () => visible },
      )
    }
    await expect(conforms({ broken: eager })).rejects.toThrow('nothing is visible before the commit')
  })

  it('a truncate that forgets nothing', async () => {
    const hoarding = (store: MemoryStore) =>
      buffering(store, (buffer) => ({
        truncate: (length) => length === 0 && Object.getPrototypeOf(buffer).truncate.call(buffer, 0),
      }))
    await expect(conforms({ broken: hoarding })).rejects.toThrow('a buffer is as long as what was appended')
  })

  it('an upsert that does not add', async () => {
    const asReplace = { ...upserted, onConflict: {} }
    const replacing = (store: MemoryStore) => proxied(store, { createBuffers: () => store.createBuffers([asReplace]) })
    await expect(conforms({ sink: upserted, features: everything, broken: replacing })).rejects.toThrow(
      'the table is what one upsert after the other gives',
    )
  })

  it('rows that are upserted in the order of appending', async () => {
    const hasty = (store: MemoryStore) =>
      changed(store, (request) => ({ ...request, position: (owner) => request.position(owner) && 0 }))
    await expect(conforms({ sink: upserted, features: everything, broken: hasty })).rejects.toThrow(
      'one upsert after the other',
    )
  })

  it('progress that stays behind', async () => {
    const lazy = (store: MemoryStore) =>
      changed(store, (request) => ({
        ...request,
        progress: request.progress.map((row) => ({ ...row, nextOffset: 0 })),
      }))
    await expect(conforms({ broken: lazy })).rejects.toThrow('progress moves with the rows')
  })

  const check: Subject = {
    store: { refuses: (_, { low }) => (low === -2 ? '23514' : undefined) },
    refuses: ({ low }) => low === -2,
  }

  it('the wrong owner', async () => {
    const unjust = (store: MemoryStore) =>
      proxied(store, {
        commit: (request) =>
          store.commit(request).catch((error) => {
            if (!(error instanceof RowsRefused)) throw error
            const others = request.buffers[0]?.length === 1 ? error.owner : 0
            throw new RowsRefused({
              owner: others,
              table: error.table,
              sqlstate: error.sqlstate,
              clash: false,
              cause: error,
            })
          }),
      })
    await expect(conforms({ ...check, broken: unjust })).rejects.toThrow(/refused rows name/)
  })

  it('rows that stand although their commit was refused', async () => {
    const leaking = (store: MemoryStore) => {
      const left: object[] = []
      const rows = store.rows.bind(store)
      return Object.assign(
        proxied(store, {
          commit: (request) =>
            store.commit(request).catch((error) => {
              if (error instanceof RowsRefused) left.push({ leaked: true })
              throw error
            }),
        }),
        { rows: (name: string) => [...rows(name), ...left] },
      )
    }
    await expect(conforms({ ...check, broken: leaking })).rejects.toThrow('a refused commit leaves nothing behind')
  })
})

/** A store of which some methods are others. */
function proxied(store: MemoryStore, methods: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const own = methods[name as keyof Store]
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function changed(store: MemoryStore, change: (request: CommitRequest) => CommitRequest): Store {
  return proxied(store, { commit: (request) => store.commit(change(request)) })
}

/** A store of whose buffers some methods are others. */
function buffering(store: MemoryStore, methods: (buffer: RowBuffer) => Partial<RowBuffer>): Store {
  return proxied(store, {
    createBuffers: (sinks) => store.createBuffers(sinks).map((buffer) => Object.assign(buffer, methods(buffer))),
  })
}
