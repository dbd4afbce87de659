import { expect, test } from 'vitest'
import type { WaitingItem } from '../../src/core/store.ts'
import type { TaskInfo } from '../../src/runtime/taskInfo.ts'
import { waitingChunks } from '../../src/runtime/waitingChunks.ts'
import { topics } from './_twoTopics.ts'

const info = {
  partition: 0,
  inputs: [
    { index: 0, source: topics.left, step: 'from:left', isTimed: false },
    { index: 1, source: topics.right, step: 'from:right', isTimed: false },
  ],
} as unknown as TaskInfo

const item = (topic: string, offset: number) =>
  ({ topic, offset, timestamp: null, key: null, value: null, headers: [] }) as unknown as WaitingItem

test('items of the collector come as input of their topic, in their order, and none is left out', () => {
  const items = [item('left', 3), item('gone', 4), item('right', 4), item('right', 7), item('left', 9)]
  const given = waitingChunks(info, items).map((chunk) => {
    return Array.from({ length: chunk.size }, (_, index) => {
      const { records, input } = chunk.locate(index)
      return `${input.step}@${records.offset(index)}`
    })
  })
  expect(given).toEqual([['from:left@3', 'from:left@4'], ['from:right@4', 'from:right@7'], ['from:left@9']])
})
