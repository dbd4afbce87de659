/** Stories that failed once, shrunk: each is played with every run of the tests. */
import type { Sending, Story } from './story.ts'

const sent = (atMs: number, key: string, deed: Sending['deed']): Sending => ({
  atMs,
  key,
  deed,
  transaction: undefined,
})

const quiet: Story = {
  seed: 0,
  partitions: 1,
  processes: 1,
  chunk: 1,
  maxItems: 2,
  policy: 'collect',
  sent: [],
  faults: [],
  asked: [],
  disaster: undefined,
}

export const regressions: readonly { readonly name: string; readonly story: Story }[] = [
  {
    // The group and its last member stand at the same position; the child was blamed for what the group had refused.
    name: 'a group is refused, and its last member has rows of its own that are not',
    story: {
      ...quiet,
      sent: [sent(0, 'e', 'parent'), sent(1, 'e', 'child'), sent(0, 'a', 'refused in a group')],
    },
  },
  {
    // What it does in the stream that its own depends on was never written.
    name: 'an item waits behind one that fails, and is run for the first time when that is done',
    story: {
      ...quiet,
      policy: 'put off and park',
      sent: [sent(0, 'a', 'throws for a while'), sent(1, 'a', 'plain')],
    },
  },
  {
    // It waited until the next claim.
    name: 'an item comes to wait behind one that was ignored meanwhile, of which its task knows nothing',
    story: {
      ...quiet,
      policy: 'put off and park',
      sent: [sent(0, 'a', 'throws'), sent(8_000, 'a', 'plain')],
      asked: [{ atMs: 6_000, action: 'ignore' }],
    },
  },
]
