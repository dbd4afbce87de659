/** Which items a reparse runs again. */
export interface Selection {
  /** Default: all streams of the plan. */
  readonly stream?: string | undefined
  readonly partition?: number | undefined
  /** The first offset. */
  readonly fromOffset?: number | undefined
  /** The offset behind the last one. */
  readonly toOffset?: number | undefined
  /** Records from the first one on whose time is not before. */
  readonly fromTime?: Date | undefined
  /** Records before the first one whose time is not before. */
  readonly toTime?: Date | undefined
  /** Only records of this key, read as UTF-8. */
  readonly key?: string | undefined
  /** Only items in the error collector whose errors have a fingerprint that begins so. */
  readonly fingerprint?: string | undefined
}

/** Whole topics, into tables beside those that are there. */
export interface ShadowSelection {
  readonly shadow: true
  readonly stream?: string | undefined
}

/** The same for selections that mean the same: by it a reparse is found again that was interrupted. */
export function selectionText(selection: Selection | ShadowSelection): string {
  const given = Object.entries(selection).filter(([, value]) => value !== undefined)
  return JSON.stringify(Object.fromEntries(given.sort(([a], [b]) => (a < b ? -1 : 1))))
}
