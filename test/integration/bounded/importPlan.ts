/** What the tests of `millrace run` run in a process of its own: a file into a table. */
import { json, lines, signal, stream, table } from 'millrace'

const path = process.env.IMPORT_FILE ?? ''
const breakAt = Number(process.env.IMPORT_BREAK_AT ?? -1)
/** Milliseconds that each item takes. */
const slowMs = Number(process.env.IMPORT_SLOW_MS ?? 0)

const read = stream('import').from(lines(path, json<{ id: number }>()))
const slow =
  slowMs === 0
    ? read
    : read.mapAsync(async (row) => {
        await new Promise((resolve) => setTimeout(resolve, slowMs))
        return row
      })

export default slow
  .tap(({ id }) => {
    if (id === breakAt) signal.break('as told')
  })
  .to(table<{ id: number }>('things'))
