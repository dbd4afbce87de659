import { json, stream, table, topic } from 'millrace'

export const things = stream('seen').from(topic('things', json<{ id: number }>())).to(table<{ id: number }>('things'))
