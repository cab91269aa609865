import { mkdtemp, rm, utimes } from 'node:fs/promises'
import { tmpdir, uptime } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ChainReader } from '../../indexer/chain.ts'
import { markClosed, prepareFolder } from '../../indexer/prepare.ts'

let folder: string
const said: unknown[] = []
const refuse = () => Promise.reject(new Error('nothing was final, so nothing is to be asked'))
const chain: ChainReader = { chainId: refuse, code: refuse, head: refuse, headers: refuse }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-folder-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const prepare = () =>
  prepareFolder(
    { folder, schema: 'multiverse_test', isLocal: true, distrust: null },
    { chain, log: (event, facts) => said.push([event, facts?.['reason']]) },
  )

/** The machine starts now, for whoever asks when the folder was opened. */
async function restartMachine(): Promise<void> {
  const before = Date.now() / 1_000 - uptime() - 60
  await utimes(join(folder, 'open'), before, before)
}

test('a folder that was open when the machine went down is begun anew, and no other', async () => {
  expect(await prepare()).toBe('new')
  // Its process was killed: what it had committed is with the system.
  expect(await prepare()).toBe('continued')
  await restartMachine()
  expect(await prepare()).toBe('new')
  expect(said).toEqual([['ponder.begun-anew', 'the machine went down while it was open']])
  await restartMachine()
  await markClosed(folder)
  expect(await prepare()).toBe('continued')
})
