/** What a run of the tests came to. */

/**
 * What is read of vitest's JSON report.
 * @typedef {{ numPassedTests: number, numFailedTests: number, numPendingTests: number,
 *   testResults: { name: string, status: string, assertionResults: unknown[] }[] }} Report
 */

/**
 * Counts, and sentences about what the counts do not show. A run in which no test ran, or that ended badly outside of any
 * test, counts as one failure.
 * @param {Report | undefined} report undefined when the runner ended before it wrote one
 * @param {number | string | null} ending the runner's exit code or the signal that ended it
 * @returns {{ passed: number, failed: number, complaints: string[] }}
 */
export function judge(report, ending) {
  const complaints = []
  const passed = report?.numPassedTests ?? 0
  let failed = report?.numFailedTests ?? 0
  // A file that could not even be loaded has no test that could fail.
  for (const file of report?.testResults ?? []) {
    if (file.status !== 'failed' || file.assertionResults.length > 0) continue
    complaints.push(`${file.name}: could not be loaded`)
    failed++
  }
  if (report?.numPendingTests) complaints.push(`${report.numPendingTests} skipped`)
  if (failed === 0 && passed === 0) {
    complaints.push('No test ran.')
    failed++
  } else if (failed === 0 && ending !== 0) {
    complaints.push(`The run itself failed outside of any test (${ending}); see above.`)
    failed++
  }
  return { passed, failed, complaints }
}
