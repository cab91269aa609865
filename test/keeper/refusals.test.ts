import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generatePrivateKey } from 'viem/accounts'
import { zeroHash } from 'viem'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import { createLog } from '../../keeper/log.ts'
import { openFolder } from '../../keeper/store/database.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { createStage } from './stage.ts'
import { keeperEnv, PATIENT } from './world.ts'

vi.setConfig(PATIENT)

// What a keeper does not start with: each is refused by name, with an exit code of its own. Real processes, one chain.

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

/** Each with what it says and the environment that brings it about. */
const REFUSALS: [
  name: string,
  exit: number,
  says: string,
  env: () => Promise<Record<string, string>>,
][] = [
  [
    'a folder without a deployment',
    2,
    'error NO_DEPLOYMENT: ',
    async () => keeperEnv(chain, join(await folder(), 'nowhere')),
  ],
  [
    'an unknown chain',
    10,
    'error UNKNOWN_CHAIN: chain 424242 ',
    async () => keeperEnv(chain, await folder({ chainId: 424_242 })),
  ],
  [
    'a wrong chain id',
    11,
    'error OTHER_CHAIN: the endpoint serves chain 31337, the deployment is on chain 1',
    async () => keeperEnv(chain, await folder({ chainId: 1 })),
  ],
  [
    'another chain of the same id',
    11,
    'error OTHER_CHAIN: block ',
    async () => keeperEnv(chain, await folder({ startBlockHash: zeroHash })),
  ],
  [
    'a contract without code',
    12,
    'error NO_CONTRACT: ',
    async () => {
      const worlds = '0x00000000000000000000000000000000000000aa'
      const addresses = { ...chain.deployment.addresses, worlds } as const
      return keeperEnv(chain, await folder({ addresses }))
    },
  ],
  [
    'a key without funds',
    13,
    'error NO_FUNDS: 0x',
    async () => keeperEnv(chain, await folder(), { KEEPER_PRIVATE_KEY: generatePrivateKey() }),
  ],
  [
    'a newer schema than the program knows',
    15,
    "error SCHEMA_TOO_NEW: the keeper's tables have version 999",
    async () => keeperEnv(chain, await withTables(`insert into keeper.migrations values (999)`)),
  ],
]

test.each(REFUSALS)('refuses %s with %i', async (_, exit, says, env) => {
  const keeper = stage.spawn(await env())
  expect(await keeper.ended).toBe(exit)
  expect(keeper.errors).toHaveLength(1)
  expect(keeper.errors[0]).toContain(says)
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
