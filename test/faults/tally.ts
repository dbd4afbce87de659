/** What an episode did, counted as it happened. */
export class Tally {
  readonly faults: Record<string, number> = {}
  readonly points: Record<string, number> = {}
  /** Processes that ended by SIGKILL on purpose. */
  kills = 0
  /** What could not be done on this machine, and why. */
  readonly skipped: string[] = []

  fault(name: string): void {
    this.faults[name] = (this.faults[name] ?? 0) + 1
  }

  point(name: string): void {
    this.points[name] = (this.points[name] ?? 0) + 1
  }
}
