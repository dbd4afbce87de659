import { defineConfig } from 'vitest/config'

const source = (path: string) => new URL(path, import.meta.url).pathname

const alias = [
  { find: /^millrace$/, replacement: source('src/index.ts') },
  { find: /^millrace\/testing$/, replacement: source('src/testing/index.ts') },
]

const integrationTests = 'test/integration/**/*.spec.ts'

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'quick',
          include: ['test/**/*.spec.ts'],
          exclude: [integrationTests],
          // One process for many files: loading the modules anew for each of 60 files took two fifths of the time.
          isolate: false,
          // The default keeps one processor free, which of two is half.
          maxWorkers: '100%',
          sequence: { groupOrder: 0 },
          typecheck: {
            enabled: true,
            include: ['test/types/**/*.test-d.ts'],
            tsconfig: 'tsconfig.types.json',
            // `npm run check` compiles everything; here only the assertions about types count.
            ignoreSourceErrors: true,
          },
        },
      },
      {
        resolve: { alias },
        test: {
          name: 'integration',
          include: [integrationTests],
          globalSetup: ['test/globalSetup.ts'],
          sequence: { groupOrder: 1 },
          // One file at a time: session timeouts and rates are measured, and two files would disturb each other.
          maxWorkers: 1,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
