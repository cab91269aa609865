import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generatePrivateKey } from 'viem/accounts'
import { zeroHash } from 'viem'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import { KEEPER_EXIT_BY_CODE } from '../../keeper/exits.ts'
import { createLog } from '../../keeper/log.ts'
import { openFolder } from '../../keeper/store/database.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import { keeperEnv, PATIENT } from './world.ts'

vi.setConfig(PATIENT)

// What a keeper does not start with: each is refused by name, with an exit code of its own, from the one table that the process
// ends by. Processes show that it does.

const stage = createStage()
let chain: LocalChain

beforeAll(async () => {
  chain = await stage.chain()
})
afterEach(stage.kill)

/** A data folder whose deployment is the chain's but for some changes. */
const folder = (changes: Partial<LocalChain['deployment']> = {}) =>
  stage.folder({ deployment: { ...chain.deployment, ...changes } })

async function withTables(statement: string): Promise<string> {
  const dataDir = await folder()
  const db = await openFolder(dataPaths(dataDir).keeper, createLog('silent'))
  await db.query(statement)
  await db.close()
  return dataDir
}

type Refused = { dataDir: string; env?: Record<string, string> }

/** Each with its exit code, its error's code, what that says, and what is started. */
const REFUSALS: [
  name: string,
  exit: number,
  code: string,
  says: string,
  start: () => Promise<Refused>,
][] = [
  [
    'a folder without a deployment',
    2,
    'NO_DEPLOYMENT',
    '',
    async () => ({ dataDir: join(await folder(), 'nowhere') }),
  ],
  [
    'an unknown chain',
    10,
    'UNKNOWN_CHAIN',
    'chain 424242 ',
    async () => ({ dataDir: await folder({ chainId: 424_242 }) }),
  ],
  [
    'a wrong chain id',
    11,
    'OTHER_CHAIN',
    'the endpoint serves chain 31337, the deployment is on chain 1',
    async () => ({ dataDir: await folder({ chainId: 1 }) }),
  ],
  [
    'another chain of the same id',
    11,
    'OTHER_CHAIN',
    'block ',
    async () => ({ dataDir: await folder({ startBlockHash: zeroHash }) }),
  ],
  [
    'a contract without code',
    12,
    'NO_CONTRACT',
    '0x00000000000000000000000000000000000000aa',
    async () => {
      const worlds = '0x00000000000000000000000000000000000000aa'
      const addresses = { ...chain.deployment.addresses, worlds } as const
      return { dataDir: await folder({ addresses }) }
    },
  ],
  [
    'a key without funds',
    13,
    'NO_FUNDS',
    '0x',
    async () => ({
      dataDir: await folder(),
      env: { KEEPER_PRIVATE_KEY: generatePrivateKey() },
    }),
  ],
  [
    'a newer schema than the program knows',
    15,
    'SCHEMA_TOO_NEW',
    "the keeper's tables have version 999",
    async () => ({ dataDir: await withTables(`insert into keeper.migrations values (999)`) }),
  ],
]

test.each(REFUSALS)('refuses %s with %i', async (_, exit, code, says, start) => {
  const { dataDir, env } = await start()
  await expect(stage.keeper(chain, env, { dataDir })).rejects.toMatchObject({
    code,
    message: expect.stringContaining(says),
  })
  expect(KEEPER_EXIT_BY_CODE[code]).toBe(exit)
})

test('says of every bad setting its key, its value and what is allowed', async () => {
  const env = { MULTIVERSE_RPC_URL: 'chain', KEEPER_PORT: 'any', KEEPER_STOP_MS: '1' }
  const keeper = stage.spawn(env)
  expect(await keeper.ended).toBe(2)
  expect(keeper.errors).toHaveLength(1)
  expect(keeper.errors[0]).toMatch(/^error CONFIG_INVALID: /)
  for (const problem of [
    'MULTIVERSE_DATA=(not set): ',
    'MULTIVERSE_RPC_URL=chain: a URL that begins with http:// or https://',
    'KEEPER_PORT=any: a port from 0 to 65535',
    'KEEPER_STOP_MS=1: milliseconds from 100 to 600000',
    'none of KEEPER_WALLET, KEEPER_SIGNER_URL and KEEPER_PRIVATE_KEY is set',
  ])
    expect(keeper.errors[0]).toContain(problem)
})

test('refuses books that a power cut has left damaged with 3', async () => {
  const dataDir = await withTables('select 1')
  const books = dataPaths(dataDir).keeper
  await truncate(join(books, 'global', 'pg_control'))
  const damaged = stage.spawn(keeperEnv(chain, dataDir))
  expect(await damaged.ended).toBe(3)
  expect(damaged.errors.at(-1)).toContain(`error DATABASE_UNREADABLE: the books in ${books} `)
})

test('refuses a port in use with 4, a folder in use with 1, and the folder of another deployment with 14', async () => {
  const here = await folder()
  const first = stage.spawn(keeperEnv(chain, here))
  await first.says('keeper.ready')
  const port = await first.port()
  const [onPort, inFolder] = [
    stage.spawn(keeperEnv(chain, await folder(), { KEEPER_PORT: `${port}` })),
    stage.spawn(keeperEnv(chain, here)),
  ]
  expect(await onPort.ended).toBe(4)
  expect(onPort.errors.at(-1)).toContain(`error PORT_IN_USE: port ${port}`)
  expect(await inFolder.ended).toBe(1)
  expect(inFolder.errors.at(-1)).toContain('error LOCKED: ')

  // The books that were made here are not about another deployment of the same chain.
  first.signal('SIGTERM')
  expect(await first.ended).toBe(0)
  const { hash: startBlockHash } = await chain.publicClient.getBlock({ blockNumber: 2n })
  const again = { ...chain.deployment, startBlock: 2, startBlockHash }
  await writeFile(dataPaths(here).deployment, JSON.stringify(again))
  const mistaken = stage.spawn(keeperEnv(chain, here))
  expect(await mistaken.ended).toBe(14)
  expect(mistaken.errors.at(-1)).toContain('error OTHER_DEPLOYMENT: ')
})
