/** The named places in a service's life at which it can be struck. State has none yet. */
export const points = [
  'claim sent',
  'claim answered',
  'before begin',
  'compared',
  'fence answered',
  'rows answered',
  'collector answered',
  'before commit',
  'commit sent',
  'commit answered',
  'connection given back',
  'hint sent',
  'revoked',
  'leaving',
] as const

export type Point = (typeof points)[number]

/** What a service is told to do at a point: once, in the file that `FAULTS_ARM` names. */
export interface Arming {
  readonly point: Point
  readonly signal: 'SIGKILL' | 'SIGSTOP'
}
