/** `npm run demo`: installs when needed, then runs the flights example with the arguments it was given. */
import './install.mjs'

// Imported only now, because before the installation there is no tsx.
const { register } = await import('tsx/esm/api')
register()
await import('../examples/flights/demo.ts')
