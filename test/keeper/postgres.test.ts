import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ROOT } from '../../sdk/ids.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type LocalPostgres, startPostgres } from '../helpers/postgres.ts'
import { spawnKeeper } from './child.ts'
import {
  answersOf,
  askQuestion,
  createFolders,
  type Folders,
  fund,
  isState,
  keeperClient,
  keeperEnv,
  PATIENT,
  push,
  reportsOf,
  spec,
} from './world.ts'

vi.setConfig(PATIENT)

// The same books on a Postgres server.

let root: string
let server: LocalPostgres
let url: string
let chain: LocalChain
let folders: Folders

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'keeper-postgres-'))
  ;[server, chain, folders] = await Promise.all([startPostgres(), startChain(), createFolders()])
  url = await server.create('books')
  await fund(chain)
})
afterAll(async () => {
  await chain?.stop()
  await server?.remove()
  await folders?.remove()
  await rm(root, { recursive: true, force: true })
})

test('keeps its books on a server, and goes on after it was killed', async () => {
  const dataDir = await folders.create(chain)
  await rm(dataPaths(dataDir).keeper, { recursive: true })
  const env = keeperEnv(chain, dataDir, { KEEPER_DATABASE_URL: url })
  const cache = join(root, 'cache')
  const client = keeperClient(dataDir)
  const first = spawnKeeper(env, cache)
  await first.says('keeper.ready')
  const asked = spec({ outcome: { source: 'pipeline' } })
  const { question: calm } = await askQuestion(chain, asked)
  await push(chain, calm)
  const expected = await client.until(ROOT, calm, isState('resolved'))

  const { question } = await askQuestion(chain, asked)
  await push(chain, question)
  await first.says('tx.signed', ({ nonce }) => nonce === 2)
  first.signal('SIGKILL')
  await first.ended
  const second = spawnKeeper(env, cache)
  const partition = await client.until(ROOT, question, isState('resolved'), 60_000)
  expect(partition.worlds.map(({ stateRoot }) => stateRoot)).toEqual(
    expected.worlds.map(({ stateRoot }) => stateRoot),
  )
  expect(await reportsOf(chain, question)).toHaveLength(1)
  expect(await answersOf(chain, question)).toHaveLength(1)
  second.signal('SIGTERM')
  expect(await second.ended).toBe(0)
})
