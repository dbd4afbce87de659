/** What joins of all kinds have in common. */
import type { ItemContext } from '../../src/core/context.ts'

/** Whose values need no other: those of neither stream, of the left one, of both. */
export type JoinKind = 'inner' | 'left' | 'outer'

/** Makes the result of two values. */
export type Combine<L, R, N> = (left: L, right: R, ctx: ItemContext) => N
