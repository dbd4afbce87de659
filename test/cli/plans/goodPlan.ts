import { json, stream, table, topic } from 'millrace'

const seen = stream('seen').from(topic('things', json<{ id: number }>()))

export default seen.filter(({ id }) => id > 0).to(table<{ id: number }>('things'))
