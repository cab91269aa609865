import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/sequencer.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/globalSetup.ts',
    sequence: { sequencer: LongestFirst },
    // The tests start real chains, databases and workers: each file gets a process of its own.
    pool: 'forks',
    // One more than the processors of a small machine: many tests wait, for blocks, processes and worlds that never answer.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
  },
})
