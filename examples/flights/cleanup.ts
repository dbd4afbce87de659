/** What has to be ended at the end, whichever way the end comes: last begun, first ended. */
export class Cleanup {
  readonly #steps: (() => Promise<unknown>)[] = []
  readonly #onError: (error: unknown) => void
  #running: Promise<void> | undefined

  /** @param onError told what fails while cleaning up; the other steps are taken all the same */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** Adds a step; when the cleaning up has begun already, it is taken at once. */
  add(step: () => Promise<unknown>): void {
    if (this.#running === undefined) this.#steps.push(step)
    else step().catch(this.#onError)
  }

  /** Takes every step once, however often it is asked. */
  run(): Promise<void> {
    this.#running ??= this.#runAll()
    return this.#running
  }

  async #runAll(): Promise<void> {
    for (const step of this.#steps.toReversed()) await step().catch(this.#onError)
  }
}
