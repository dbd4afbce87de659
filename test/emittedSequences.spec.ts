import { describe, expect, test } from 'vitest'
import { EmittedSequences } from '../src/index.ts'

const headers = (task: string, sequence: number) => ({ 'millrace-task': task, 'millrace-sequence': String(sequence) })

describe('EmittedSequences', () => {
  test('knows what has been there before, for each task by itself, whatever is left out between', () => {
    const seen = new EmittedSequences()
    const given = [
      [1, 'a'],
      [4, 'a'],
      [2, 'b'],
      [1, 'a'],
      [4, 'a'],
      [5, 'a'],
      [2, 'b'],
    ] as const
    const repeats = given.map(([sequence, task]) => seen.isRepeat(headers(task, sequence)))
    expect(repeats).toEqual([false, false, false, true, true, false, true])
  })

  test('goes on from what was kept as JSON', () => {
    const before = new EmittedSequences()
    before.isRepeat(headers('app/s/0', 17))
    const after = new EmittedSequences(JSON.parse(JSON.stringify(before)))
    expect(after.isRepeat(headers('app/s/0', 17))).toBe(true)
    expect(after.isRepeat(headers('app/s/0', 18))).toBe(false)
  })

  test('takes headers as the clients of Kafka have them', () => {
    const forms = [
      { 'millrace-task': Buffer.from('t'), 'millrace-sequence': Buffer.from('1') },
      { 'millrace-task': ['t'], 'millrace-sequence': [Buffer.from('0'), Buffer.from('1')] },
      [
        { key: 'millrace-task', value: Buffer.from('t') },
        { key: 'millrace-sequence', value: Buffer.from('1') },
      ],
      { header: (name: string) => headers('t', 1)[name as 'millrace-task'] },
    ]
    for (const form of forms) {
      const seen = new EmittedSequences()
      expect([seen.isRepeat(form), seen.isRepeat(form)]).toEqual([false, true])
    }
  })

  test('leaves records alone that no stream has emitted', () => {
    const seen = new EmittedSequences()
    for (const form of [{}, { 'millrace-task': 't' }, { 'millrace-task': 't', 'millrace-sequence': 'x' }, []]) {
      expect(seen.isRepeat(form)).toBe(false)
      expect(seen.isRepeat(form)).toBe(false)
    }
    expect(JSON.stringify(seen)).toBe('{}')
  })

  test('a task is not taken for a property of all objects', () => {
    const seen = new EmittedSequences()
    expect(seen.isRepeat(headers('__proto__', 1))).toBe(false)
    expect(seen.isRepeat(headers('__proto__', 1))).toBe(true)
    expect(new EmittedSequences(JSON.parse(JSON.stringify(seen))).isRepeat(headers('__proto__', 1))).toBe(true)
  })
})
