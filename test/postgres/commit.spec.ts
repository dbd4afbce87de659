import { expect, it } from 'vitest'
import { InternalError } from '../../src/core/errors.ts'
import { silentLogger } from '../../src/core/logger.ts'
import type { CommitRequest } from '../../src/core/store.ts'
import { commitBatch } from '../../src/postgres/commit.ts'
import type { Connections, Link } from '../../src/postgres/connections.ts'

const request: CommitRequest = {
  claim: {
    task: { app: 'a', stream: 's', partition: 0 },
    owner: '6a1f6f0e-6d2c-4f7e-9d50-0d7b7b8b6a11',
    version: 7,
    progress: [],
    budget: null,
    halted: null,
    watermarks: null,
  },
  settled: [],
  budget: null,
  halted: null,
  progress: [],
  buffers: [],
  position: (owner) => owner,
  allInOrder: true,
  collected: [],
}

/** Connections to a server that answers COMMIT with a command tag of its choice. */
function answering(tag: string) {
  const sent: string[] = []
  const link: Pick<Link, 'begin' | 'commit' | 'rollback'> = {
    begin: async (text) => void sent.push(text),
    commit: async () => tag,
    rollback: async () => void sent.push('rollback'),
  }
  const connections = {
    target: { name: 'db', logger: silentLogger },
    use: async (_: string, work: (link: Link) => Promise<unknown>) => work(link as Link),
  }
  return { connections: connections as unknown as Connections, sent }
}

it('takes a COMMIT for done when the server says COMMIT', async () => {
  const { connections, sent } = answering('COMMIT')
  const claim = { ...request.claim }
  await commitBatch(connections, async () => {}, { ...request, claim })
  expect(claim.version).toBe(8)
  expect(sent[0]).toMatch(
    /^begin; select millrace\.fence\('a', 's', '0', '6a1f6f0e-[-0-9a-f]+', '7', '\{\}', '\{\}', '\{\}', null, null, null, null\)$/,
  )
})

it('takes it for a defect when COMMIT resolves with ROLLBACK, as it does after an error that went unnoticed', async () => {
  const { connections } = answering('ROLLBACK')
  const claim = { ...request.claim }
  await expect(commitBatch(connections, async () => {}, { ...request, claim })).rejects.toBeInstanceOf(InternalError)
  expect(claim.version).toBe(7)
})
