/**
 * Who may import whom: imports flow outward from src/core, and each vendor is known in one place. What is not allowed
 * here is forbidden. `npm run check -- architecture` looks at the tree, test/architecture.spec.ts proves that every rule
 * bites. Package paths are matched without an anchor, because the test's trees lie deeper than node_modules.
 */

const published = '^(src|operators|sinks)/'
const ours = '^(src|operators|sinks|test|bench|examples|dev)/'
const packages = (...names) => `node_modules/(@types/)?(${names.join('|')})/`
const postgresPackages = ['pg', 'node-pg-migrate']

const core = '^src/core/'
const operators = '^operators/'
const codecs = '^src/codecs/'
const bounded = '^src/bounded/'
const runtime = '^src/runtime/'
const kafka = '^src/kafka/'
const postgres = '^src/postgres/'
const sinks = '^sinks/'
/** src/stream.ts, src/topic.ts and the like; src/index.ts also hands on what the outer layers make. */
const stream = '^src/[^/]+\\.ts$'
const index = '^src/index\\.ts$'
const testing = '^src/testing/'
const service = '^src/service/'
const reparse = '^src/reparse/'
const cli = '^src/cli/'

/** The modules of a layer, and the only ones of ours that they may import. */
const layers = [
  { name: 'core', from: core, to: [core] },
  { name: 'operators', from: operators, to: [core, operators] },
  { name: 'codecs', from: codecs, to: [core, codecs] },
  { name: 'bounded', from: bounded, to: [core, bounded] },
  { name: 'runtime', from: runtime, to: [core, runtime] },
  { name: 'kafka', from: kafka, to: [core, kafka] },
  { name: 'postgres', from: postgres, to: [core, postgres] },
  { name: 'sinks', from: sinks, to: [core, postgres, sinks] },
  { name: 'stream', from: stream, fromNot: index, to: [core, operators, codecs, bounded, sinks, stream] },
  { name: 'index', from: index, to: [core, operators, codecs, bounded, sinks, stream, service] },
  { name: 'testing', from: testing, to: [core, operators, codecs, runtime, kafka, sinks, stream, testing] },
  { name: 'service', from: service, to: [core, codecs, bounded, runtime, kafka, postgres, sinks, stream, service] },
  { name: 'reparse', from: reparse, to: [core, runtime, kafka, postgres, stream, service, reparse] },
  // The progress commands administer what the store keeps; everything else of the command line goes through the service.
  { name: 'cli', from: cli, to: [core, postgres, stream, service, reparse, cli] },
]

/** The only packages that a layer may import; layers that are not named are bound by the vendors' rules alone. */
const layerPackages = [
  // Pure and without dependencies of its own: it finds the nearest name for a misspelt option. Types cost nothing.
  { name: 'core', from: core, to: ['fastest-levenshtein'], except: ['type-only'] },
  // Calendars of time zones, until Node has Temporal.
  { name: 'operators', from: operators, to: ['rxjs', 'temporal-polyfill'] },
  { name: 'codecs', from: codecs, to: ['avsc'] },
  { name: 'bounded', from: bounded, to: [] },
  { name: 'runtime', from: runtime, to: ['rxjs', 'tinyqueue'] },
  { name: 'kafka', from: kafka, to: ['millrace-kafkajs', 'fzstd', 'snappy', 'lz4-napi'] },
  { name: 'postgres', from: postgres, to: postgresPackages },
  { name: 'sinks', from: sinks, to: postgresPackages },
]

/** Packages that are known in one place only. */
const vendors = [
  { name: 'kafkajs', packages: ['millrace-kafkajs'], only: [kafka] },
  // The user's own copy: patching ours must never touch it.
  { name: 'plain-kafkajs', packages: ['kafkajs'], only: [] },
  { name: 'pg', packages: postgresPackages, only: [postgres, sinks] },
  { name: 'avsc', packages: ['avsc'], only: ['^src/codecs/_?avro'] },
]

const unlessEmpty = (pathNot) => (pathNot.length === 0 ? {} : { pathNot })

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment:
        'keyBy() makes a keyed stream, whose methods make streams: of the two, one knows only the type of the other.',
      severity: 'error',
      from: { pathNot: '^src/(keyedStream|stream)\\.ts$' },
      to: { circular: true },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-dependency',
      comment: 'What users install has no devDependencies. Optional peers are installed here as such, too.',
      severity: 'error',
      from: { path: published },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer', 'type-only'] },
    },
    {
      name: 'operators-stand-alone',
      comment: 'What two operators share is in operators/_shared/.',
      severity: 'error',
      from: { path: '^operators/[^/]+\\.ts$', pathNot: '^operators/index\\.ts$' },
      to: { path: '^operators/[^_/]' },
    },
    ...layers.map(({ name, from, fromNot, to }) => ({
      name: `layer-${name}`,
      severity: 'error',
      from: { path: from, ...(fromNot === undefined ? {} : { pathNot: fromNot }) },
      to: { path: ours, pathNot: to },
    })),
    ...layerPackages.map(({ name, from, to, except = [] }) => ({
      name: `packages-${name}`,
      severity: 'error',
      from: { path: from },
      to: { path: 'node_modules/', pathNot: [packages(...to)], dependencyTypesNot: except },
    })),
    ...vendors.map(({ name, packages: names, only }) => ({
      name: `vendor-${name}`,
      severity: 'error',
      from: { path: published, ...unlessEmpty(only) },
      to: { path: packages(...names) },
    })),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Imports of types are dependencies as well: a layer that names another's types knows it.
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
}
