import { describe, expect, test } from 'vitest'

const module: string = new URL('../../dev/judge.mjs', import.meta.url).href
const { judge } = (await import(module)) as {
  judge(report: object | undefined, ending: number | string): { passed: number; failed: number; complaints: string[] }
}

const report = (passed: number, failed: number, more = {}) => ({
  numPassedTests: passed,
  numFailedTests: failed,
  numPendingTests: 0,
  testResults: [],
  ...more,
})

describe('the closing line of npm test', () => {
  test('is what the report says', () => {
    expect(judge(report(7, 0), 0)).toEqual({ passed: 7, failed: 0, complaints: [] })
    expect(judge(report(7, 2), 1)).toEqual({ passed: 7, failed: 2, complaints: [] })
  })

  test('counts a file that could not be loaded, but not one whose tests failed twice', () => {
    const broken = { name: 'broken.spec.ts', status: 'failed', assertionResults: [] }
    const failing = { name: 'failing.spec.ts', status: 'failed', assertionResults: [{}] }
    expect(judge(report(7, 1, { testResults: [broken, failing] }), 1)).toEqual({
      passed: 7,
      failed: 2,
      complaints: ['broken.spec.ts: could not be loaded'],
    })
  })

  test('does not pass a run without tests, with or without a report', () => {
    expect(judge(report(0, 0), 0)).toEqual({ passed: 0, failed: 1, complaints: ['No test ran.'] })
    expect(judge(undefined, 'SIGKILL')).toEqual({ passed: 0, failed: 1, complaints: ['No test ran.'] })
  })

  test('does not pass a run that failed outside of any test', () => {
    expect(judge(report(7, 0), 1).failed).toBe(1)
    expect(judge(report(7, 0), 1).complaints[0]).toContain('outside of any test (1)')
  })

  test('tells of skipped tests', () => {
    expect(judge(report(7, 0, { numPendingTests: 3 }), 0)).toEqual({ passed: 7, failed: 0, complaints: ['3 skipped'] })
  })
})
