import { describe, expect, it } from 'vitest'
import { recordListChunk } from '../../src/core/recordListChunk.ts'
import { PartitionReader } from '../../src/kafka/partitionReader.ts'

const chunk = (from: number, to: number) =>
  recordListChunk({ topic: 't', partition: 0, records: [], nextOffset: to, endOffset: 100 + from })
const done = { done: true, value: undefined }

function reader(offset = 0): { reader: PartitionReader; demands: () => number } {
  let demands = 0
  return { reader: new PartitionReader(offset, () => demands++), demands: () => demands }
}

describe('PartitionReader', () => {
  it('wants nothing until somebody asks', async () => {
    const { reader: one, demands } = reader()
    expect([one.wants, demands()]).toEqual([false, 0])
    const asked = one.next()
    expect([one.wants, demands()]).toEqual([true, 1])
    one.deliver(chunk(0, 5))
    expect((await asked).value?.nextOffset).toBe(5)
  })

  it('holds one chunk ahead and wants the next when that one is taken', async () => {
    const { reader: one, demands } = reader()
    const asked = one.next()
    one.deliver(chunk(0, 5))
    await asked
    expect(one.wants).toBe(true)
    one.deliver(chunk(5, 9))
    expect([one.wants, one.position]).toEqual([false, 9])
    const before = demands()
    expect((await one.next()).value?.nextOffset).toBe(9)
    expect([one.wants, demands()]).toEqual([true, before + 1])
  })

  it('has room again when the chunk it holds is taken, or when it closes', async () => {
    const { reader: one } = reader()
    await one.room()
    one.deliver(chunk(0, 5))
    let free = false
    const room = one.room().then(() => {
      free = true
    })
    await Promise.resolve()
    expect(free).toBe(false)
    await one.next()
    await room
    one.deliver(chunk(5, 6))
    const again = one.room()
    one.close()
    await again
  })

  it('hands over what it holds before it throws, then throws once', async () => {
    const { reader: one } = reader()
    one.deliver(chunk(0, 5))
    one.fail(new Error('gone'))
    expect((await one.next()).value?.nextOffset).toBe(5)
    await expect(one.next()).rejects.toThrow('gone')
    expect(await one.next()).toEqual(done)
    expect(one.wants).toBe(false)
  })

  it('throws into whoever waits', async () => {
    const { reader: one } = reader()
    const asked = one.next()
    one.fail(new Error('gone'))
    await expect(asked).rejects.toThrow('gone')
    expect(one.closed).toBe(true)
  })

  it('ends all who wait when it closes, and drops what it holds', async () => {
    const { reader: one } = reader()
    const asked = [one.next(), one.next()]
    one.close()
    expect(await Promise.all(asked)).toEqual([done, done])
    const { reader: other } = reader()
    other.deliver(chunk(0, 5))
    await other.return()
    expect(await other.next()).toEqual(done)
  })

  it('hands over nothing that comes after it was closed', async () => {
    const { reader: one } = reader()
    one.close()
    one.deliver(chunk(0, 5))
    one.fail(new Error('gone'))
    expect([await one.next(), one.position]).toEqual([done, 0])
  })

  it('serves several who wait in the order they asked', async () => {
    const { reader: one } = reader()
    const asked = [one.next(), one.next()]
    one.deliver(chunk(0, 1))
    expect(one.wants).toBe(true)
    one.deliver(chunk(1, 2))
    expect((await Promise.all(asked)).map(({ value }) => value?.nextOffset)).toEqual([1, 2])
  })
})
