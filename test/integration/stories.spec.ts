/** As many stories as a user plays in a nightly run. Needs no service. */
import { test } from 'vitest'
import { check } from '../../src/testing/index.ts'
import { input, tenSteps } from '../testing/_payments.ts'

test('1,000 stories of a plan of ten steps', () => check(tenSteps, { input, numRuns: 1_000 }), 120_000)
