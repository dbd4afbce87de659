import { describe } from 'vitest'
import { itemwiseCases } from './_cases.ts'

describe('mapAsync', () => {
  itemwiseCases({ step: 'mapAsync', apply: (base, act) => base.mapAsync(async (n, ctx) => act(n, ctx)) })
})
