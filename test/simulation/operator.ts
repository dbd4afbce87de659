/** Somebody at the command line, who has items of the collector run again, or ignored: as `millrace errors` does it. */
import type { Clock } from '../../src/core/clock.ts'
import { UnavailableError } from '../../src/core/errors.ts'
import { Connections } from '../../src/postgres/connections.ts'
import { unsettledStates } from '../../src/postgres/errorFilter.ts'
import { executeChange, planChange } from '../../src/postgres/errorsChange.ts'
import type { ModelServer, Peer } from './modelServer.ts'
import { target } from './modelStore.ts'

export type OperatorAction = 'replay' | 'ignore'

const peer: Peer = { name: 'operator', deliver: (callback) => callback(), fateOf: () => undefined, kill() {} }

export class Operator {
  readonly #app: string
  readonly #connections: Connections

  constructor(app: string, server: ModelServer, clock: Clock) {
    this.#app = app
    this.#connections = new Connections(target, server.pool(peer), clock)
  }

  /** Says what became of it. Only what is open is ignored: nobody gives up what may still come to something. */
  async ask(action: OperatorAction): Promise<string> {
    const states = action === 'replay' ? unsettledStates : (['open'] as const)
    try {
      return await this.#connections.use(`asking for: ${action}`, async (link) => {
        const plan = await planChange(link, action, { app: this.#app, states })
        const changed = plan.items === 0 ? 0 : await executeChange(link, plan, this.#connections.clock)
        return `${action} of ${changed} items`
      })
    } catch (error) {
      if (error instanceof UnavailableError) return `${action}: ${error.code}`
      throw error
    }
  }
}
