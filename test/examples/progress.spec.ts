import { expect, test } from 'vitest'
import { progressText } from '../../examples/flights/progress.ts'

test('progress says how much is done, how fast, and how long the rest takes', () => {
  expect(progressText(120_000, 500_000, 2_000)).toBe('120,000 / 500,000 (24%), 60,000/s, 7 s left')
})

test('progress has no rate before anything is done', () => {
  expect(progressText(0, 500_000, 2_000)).toBe('0 / 500,000 (0%)')
})

test('progress at the end says how long it took', () => {
  expect(progressText(500_000, 500_000, 8_000)).toBe('500,000 / 500,000 (100%), 62,500/s, 8.0 s')
})
