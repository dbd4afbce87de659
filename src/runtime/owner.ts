/**
 * Owners: to whom a value, a row or a change belongs. Every row carries one, so it is a small integer:
 *
 * - from 0 on, an item in one of the task's streams: `stream * 2^22 + item`. In the task's own stream, whose index is 0, that is the item;
 * - below 0, a group.
 */

const itemBits = 22

/** Items of a batch at most. */
export const maxBatchItems = 2 ** itemBits
/** Streams of a task at most: the largest owner then is 2^30 - 1, which V8 keeps without a box. */
export const maxTaskStreams = 2 ** 8

/** What the owner in hand is while nothing runs. A small integer, like all owners: one that is not would turn the field into a boxed double. */
export const noItem = -(2 ** 30)

export function ownerOf(stream: number, item: number): number {
  return stream * maxBatchItems + item
}

/** The item of an owner that is no group. */
export function itemOf(owner: number): number {
  return owner & (maxBatchItems - 1)
}

/** The index of the stream that an owner, which is no group, belongs to. */
export function streamOf(owner: number): number {
  return owner >> itemBits
}
