import { describe, expect, it } from 'vitest'
import { Signal, signal, syncWatch, watchAsync } from '../../src/core/signal.ts'

const thrownBy = (raise: () => never): Signal => {
  try {
    raise()
  } catch (thrown) {
    if (thrown instanceof Signal) return thrown
    throw thrown
  } finally {
    syncWatch.raised = undefined
  }
}

describe('a signal', () => {
  it('is thrown with what was asked for', () => {
    expect(thrownBy(() => signal.continue()).request).toEqual({ kind: 'continue' })
    expect(thrownBy(() => signal.ignore('why')).request).toEqual({ kind: 'ignore', reason: 'why' })
    expect(thrownBy(() => signal.ignore()).request).toEqual({ kind: 'ignore', reason: undefined })
    expect(thrownBy(() => signal.break('why', { resumeAfterMs: 5 })).request).toEqual({
      kind: 'break',
      reason: 'why',
      resumeAfterMs: 5,
    })
    expect(thrownBy(() => signal.break(undefined, { resumeAfterMs: 5 })).request).toMatchObject({ resumeAfterMs: 5 })
    const cause = new Error('x')
    expect(thrownBy(() => signal.error(cause)).request).toEqual({ kind: 'error', cause })
  })

  it('has no stack, and is made once where it says nothing', () => {
    expect(thrownBy(() => signal.ignore())).toBe(thrownBy(() => signal.ignore()))
    expect(thrownBy(() => signal.continue())).toBe(thrownBy(() => signal.continue()))
    expect(thrownBy(() => signal.break())).toBe(thrownBy(() => signal.break()))
    expect(thrownBy(() => signal.ignore('x'))).not.toHaveProperty('stack')
  })

  it('that leaves its stream says what it is', () => {
    expect(String(thrownBy(() => signal.break()))).toContain('signal.break() left its stream')
  })

  it('is noted where it is raised, so that one that is caught can be named', () => {
    try {
      signal.ignore()
    } catch {}
    expect(syncWatch.raised?.request.kind).toBe('ignore')
    syncWatch.raised = undefined
  })

  it('is noted in its own call, also across awaits', async () => {
    const watches = [{ raised: undefined }, { raised: undefined }] as { raised: Signal | undefined }[]
    await Promise.all(
      watches.map((watch, index) =>
        watchAsync(watch, async () => {
          await Promise.resolve()
          try {
            if (index === 1) signal.ignore()
          } catch {}
          await Promise.resolve()
        }),
      ),
    )
    expect(watches.map(({ raised }) => raised?.request.kind)).toEqual([undefined, 'ignore'])
    expect(syncWatch.raised).toBeUndefined()
  })
})
