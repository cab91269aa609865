import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Hex } from 'viem'
import * as actions from '../../sdk/actions.ts'
import { createSource } from '../../indexer/analytics/source.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type LocalPostgres, startPostgres } from '../helpers/postgres.ts'
import { createDataFolder, startPonder } from './services.ts'

// The indexer on a Postgres server: one that has seen another chain of the same id before.

let server: LocalPostgres
let url: string

beforeAll(async () => {
  server = await startPostgres()
  url = await server.create('indexer')
}, 120_000)
afterAll(async () => server?.remove())

/** Asks so many questions on a new chain, a block each, and gives what the indexer makes of them. */
async function index(questions: number): Promise<{ known: Hex[]; real: Hex[] }> {
  const chain = await startChain()
  const folder = await createDataFolder(chain.deployment)
  try {
    const real = await ask(chain, questions)
    const ponder = await startPonder(folder.path, chain.url, { databaseUrl: url })
    try {
      await ponder.ready()
      const { blocks } = await createSource(ponder.url).view(0n)
      return { known: blocks.map(({ hash }) => hash), real }
    } finally {
      await ponder.stop()
    }
  } finally {
    await chain.stop()
    await folder.remove()
  }
}

async function ask(chain: LocalChain, count: number): Promise<Hex[]> {
  const { multiverse } = chain.deployment.addresses
  for (let nth = 0; nth < count; nth++)
    await actions.ask(chain.wallet(9), {
      multiverse,
      uri: `data:,${count}-${nth}`,
      oracle: chain.accounts[9]!.address,
      outcomes: 2 + count + nth,
      deadline: 2n ** 40n,
      specHash: `0x${'0'.repeat(64)}`,
      termsHash: `0x${'0'.repeat(64)}`,
    })
  const head = await chain.publicClient.getBlockNumber()
  const real = await Promise.all(
    Array.from({ length: count }, (_, nth) =>
      chain.publicClient.getBlock({ blockNumber: head - BigInt(count - 1 - nth) }),
    ),
  )
  // What ponder reads at its start and not live is what it keeps.
  await chain.testClient.mine({ blocks: 40 })
  return real.map(({ hash }) => hash)
}

test('what it kept of another chain with the same id is not taken for this one', async () => {
  const first = await index(3)
  expect(first.known).toEqual(first.real)
  const second = await index(2)
  expect(second.known).toEqual(second.real)
}, 300_000)
