/** `npm run check -- architecture` */
import { fileURLToPath } from 'node:url'
import { cruiseTree } from './cruise.ts'

const { modules, forbidden } = await cruiseTree(fileURLToPath(new URL('../../', import.meta.url)))
for (const { rule, from, to } of forbidden) console.error(`${rule}: ${from} imports ${to}`)
if (modules === 0)
  console.error('No module was found: the compiler or the configuration does not work with dependency-cruiser.')
console.log(`${modules} modules, ${forbidden.length} forbidden imports`)
process.exitCode = modules > 0 && forbidden.length === 0 ? 0 : 1
