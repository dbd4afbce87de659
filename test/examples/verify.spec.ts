import { describe, expect, test } from 'vitest'
import type { PlacedRecord } from '../../examples/flights/records.ts'
import { type CollectedRecord, fateComplaints, outcomeComplaints } from '../../examples/flights/verify.ts'

const truncated: PlacedRecord = { name: 'truncated', fate: 'collected', code: 'MR-A', value: Buffer.from('abc') }
const unknown: PlacedRecord = { name: 'unknown', fate: 'ignored', code: undefined, value: Buffer.from('xyz') }
const empty: PlacedRecord = { name: 'null', fate: 'skipped', code: undefined, value: null }
const broken = [truncated, unknown, empty]

function collected(value: string): CollectedRecord {
  return { place: 'flights[0]@7', step: 'from:flights', code: 'MR-A', reason: 'why', value: Buffer.from(value) }
}

describe('fates', () => {
  test('are right when what must be collected is there once and nothing else is', () => {
    expect(fateComplaints(broken, [collected('abc')])).toEqual([])
  })

  test('are wrong when a broken record is missing, there twice, or one that should be ignored is there', () => {
    expect(fateComplaints(broken, [])).toEqual(['"truncated" is 0 times in the error collector and should be 1 times'])
    expect(fateComplaints(broken, [collected('abc'), collected('abc')])).toHaveLength(1)
    expect(fateComplaints(broken, [collected('abc'), collected('xyz')])).toContain(
      '"unknown" is 1 times in the error collector and should be 0 times',
    )
  })

  test('are wrong when a record is collected for another reason', () => {
    expect(fateComplaints(broken, [{ ...collected('abc'), code: '23514' }])).toEqual([
      '"truncated" was collected for 23514 and should be for MR-A',
    ])
  })

  test('are wrong when a good record is in the collector', () => {
    expect(fateComplaints(broken, [collected('abc'), collected('good')])).toEqual([
      'flights[0]@7 is in the error collector and was a good record: why',
    ])
  })
})

test('outcomes are compared one by one', () => {
  const expected = { rows: 10, shortHops: 2 }
  const outcomes = { done: 10, filtered: 3, ignored: 1, collected: 1 }
  expect(outcomeComplaints(expected, broken, outcomes)).toEqual([])
  expect(outcomeComplaints(expected, broken, { ...outcomes, filtered: 2, ignored: 2 })).toEqual([
    'the service counted 2 items as filtered and should have counted 3',
    'the service counted 2 items as ignored and should have counted 1',
  ])
})
