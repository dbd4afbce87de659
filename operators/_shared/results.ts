/** What goes on of what a callback answers: neither null nor undefined. */
// biome-ignore lint/suspicious/noConfusingVoidType: what a callback without a return statement answers
export type Results<Result> = Exclude<Awaited<Result>, null | undefined | void>
