import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { createMetrics as createAnalyticsMetrics } from '../indexer/analytics/metrics.ts'
import { settings } from '../keeper/config.ts'
import { createMetrics as createKeeperMetrics } from '../keeper/metrics.ts'
import { SUPERVISED } from '../sdk/node/lifecycle.ts'

// Operators go by docs/operations.md: it must name what there is, and nothing else.

const operations = await readFile(
  fileURLToPath(new URL('../docs/operations.md', import.meta.url)),
  'utf8',
)
const named = (pattern: RegExp) => new Set(operations.match(pattern))

describe('docs/operations.md', () => {
  test('names every metric, and no other', async () => {
    const keeper = createKeeperMetrics({
      headBlock: () => null,
      headTime: () => null,
      partitions: async () => [],
      jobs: async () => [],
      liveWorlds: () => 0,
      lag: () => null,
      deadLetters: async () => 0,
      doubled: async () => 0,
      transactions: async () => [],
      account: () => ({ waiting: {}, balance: null }),
    })
    const analytics = createAnalyticsMetrics(() => ({
      chainId: 1,
      block: null,
      journals: [],
      problems: [],
      ready: false,
      reason: null,
    }))
    const texts = await Promise.all([keeper.text(), analytics.text()])
    const own = texts
      .flatMap((text) => [...text.matchAll(/^# TYPE (\w+) /gm)])
      .map(([, name = '']) => name)
      .filter((name) => /^(keeper|analytics)_/.test(name))
    expect(named(/\b(keeper|analytics)_[a-z_]+\b/g)).toEqual(new Set(own))
  })

  test("names every setting of the keeper's", () => {
    const known = Object.keys(settings.shape).filter((name) => name !== SUPERVISED)
    expect([...named(/\b(KEEPER|MULTIVERSE)_[A-Z_]+\b/g)]).toEqual(expect.arrayContaining(known))
  })
})

test('docs/analytics.md names every view and macro, and no other', async () => {
  const page = await readFile(new URL('../docs/analytics.md', import.meta.url), 'utf8')
  const folder = new URL('../indexer/analytics/views/', import.meta.url)
  const files = (await readdir(folder)).filter((name) => name.endsWith('.sql'))
  const sql = (
    await Promise.all(files.map((name) => readFile(new URL(name, folder), 'utf8')))
  ).join()
  const made = [...sql.matchAll(/CREATE OR REPLACE (?:VIEW|MACRO) (\w+)/g)].map(([, name]) => name)
  const rows = page.split('\n').filter((line) => line.startsWith('| `'))
  const told = rows.flatMap((line) =>
    [...(line.split('|')[1] ?? '').matchAll(/`(\w+)/g)].map(([, name]) => name),
  )
  // The one table among them.
  expect(new Set(told)).toEqual(new Set([...made, 'branch_spectra']))
})
