import { expect, test } from 'vitest'
import { type Position, readPosition, watchProgress } from '../../examples/flights/watch.ts'

test('watching ends with a last look after the consumer has caught up', async () => {
  const positions: Position[] = [
    { claimed: false, read: 0 },
    { claimed: true, read: 0 },
    { claimed: true, read: 60 },
    { claimed: true, read: 100 },
  ]
  const looks: Position[] = []
  const caughtUp = deferred()
  const look = async () => {
    const position = positions[looks.length] ?? { claimed: true, read: 100 }
    looks.push(position)
    if (looks.length === 3) caughtUp.resolve()
    return position
  }
  const seconds = await watchProgress(caughtUp.promise, look, 100)
  expect(looks.at(-1)).toEqual({ claimed: true, read: 100 })
  expect(seconds).toBeGreaterThan(0)
})

test('watching fails with the consumer', async () => {
  const failing = Promise.reject(new Error('no topic'))
  await expect(watchProgress(failing, async () => ({ claimed: false, read: 0 }), 100)).rejects.toThrow('no topic')
})

test('before the service has made its tables nobody has read anything', async () => {
  const missing = Object.assign(new Error('relation "millrace.progress" does not exist'), { code: '42P01' })
  const query = () => Promise.reject(missing)
  expect(await readPosition({ query }, 'g')).toEqual({ claimed: false, read: 0 })
  const lost = Object.assign(new Error('connection lost'), { code: 'ECONNRESET' })
  await expect(readPosition({ query: () => Promise.reject(lost) }, 'g')).rejects.toBe(lost)
})

/** Promise.withResolvers, which Node 20 lacks. */
function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
