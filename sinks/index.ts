export { type TableOptions, table } from './table.ts'
