import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'

/** Sends rows in COPY's text format, in one piece. */
export function copyText(client: pg.Client, into: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = client.query(copyFrom(`copy ${into} from stdin`))
    stream.on('error', reject)
    stream.on('finish', resolve)
    stream.end(text)
  })
}

const special = /[\\\t\n\r]/

/** A text as COPY wants it; few texts need more than the look at them. */
export function copyField(text: string): string {
  if (!special.test(text)) return text
  return text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r')
}
