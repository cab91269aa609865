import { type Hex, keccak256, toHex, zeroHash } from 'viem'
import { beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { openStores, type Stores } from '../../keeper/books.ts'
import type { Fact } from '../../keeper/chain/facts.ts'
import type { Header } from '../../keeper/chain/window.ts'
import { type Books, keepBooks } from '../../keeper/keeping.ts'
import { createLog } from '../../keeper/log.ts'
import type { Database } from '../../keeper/store/database.ts'
import { openIdentity } from '../../keeper/store/identity.ts'
import type { Pull } from '../../keeper/store/redemptions.ts'
import { ROOT } from '../../sdk/ids.ts'
import { createStage } from './stage.ts'
import { PATIENT } from './world.ts'

vi.setConfig(PATIENT)

// What was done in a block that is no more, or that only one endpoint ever told of, is done again: it was waiting for nothing
// else. Blocks are made up here, the books are real.

const GAME: Hex = '0x00000000000000000000000000000000000000a1'
const KEEPER: Hex = '0x00000000000000000000000000000000000000a2'
const OWNER: Hex = '0x00000000000000000000000000000000000000a3'
const MULTIVERSE: Hex = '0x00000000000000000000000000000000000000a4'
const START = 1_700_000_000

const stage = createStage()
let db: Database
let stores: Stores
let books: Books
let blocks: Header[] = []
let nonce = 0

beforeAll(async () => {
  db = await stage.books()
  const log = createLog('silent')
  const identity = await openIdentity(db, {
    version: 1,
    chainId: 31_337,
    addresses: { multiverse: MULTIVERSE, worlds: GAME },
    startBlock: 0,
    startBlockHash: zeroHash,
  })
  stores = await openStores(db, identity, log, { optimistic: GAME })
  const through = undefined
  const confirmations = 0
  const ledger = { chainId: 31_337, multiverse: MULTIVERSE }
  books = keepBooks({ db, stores, ...ledger, confirmations, through, log })
})

const hashOf = (name: string) => keccak256(toHex(name))

/** A block after the newest one, seconds after it; `name` tells it from others of its number. */
async function follow(name: string, facts: Fact[] = [], ancestor: number | null = null) {
  const last = blocks.at(-1)
  const number = newest() + 1
  const header = {
    number,
    hash: hashOf(name),
    parentHash: last?.hash ?? zeroHash,
    timestamp: START + number,
  }
  blocks.push(header)
  await books.chain.apply({
    kind: 'blocks',
    ancestor,
    blocks: [{ header, facts }],
    window: blocks,
    isHead: true,
    final: null,
    seenAt: Date.now(),
  })
}

const newest = () => blocks.at(-1)?.number ?? 0

/** Jobs that are to be done. */
async function jobs(queue: string): Promise<string[]> {
  const rows = await db.query<{ key: string }>(
    `select singleton_key as key from pgboss.job where name = $1 and state = 'created'`,
    [queue],
  )
  return rows.map(({ key }) => key)
}

/** Books a transaction for something as mined in a block of that number and name. */
async function mine(purpose: string, block: number, name: string): Promise<Hex> {
  const hash = hashOf(`transaction ${++nonce}`)
  const signing = { sender: KEEPER, purposes: [purpose], kind: 'call', headBlock: 1 } as const
  const tx = await books.txs.sign(signing, nonce, async () => ({ hash, raw: '0x', cost: 1n }))
  const end = { state: 'mined', block, blockHash: hashOf(name), cost: 1n } as const
  expect(await books.txs.settle(tx, end)).toBe(true)
  return hash
}

/** Blocks up to a new question of a game, pushed into, which waits for nothing. */
let question: Hex
beforeEach(async () => {
  const name = `${blocks.length}`
  question = hashOf(`question ${name}`)
  const at = { block: newest() + 1, hash: hashOf(name), tx: hashOf(`asking ${name}`), index: 0 }
  const terms = { oracle: GAME, outcomes: 4, deadline: BigInt(START + 100_000), specHash: zeroHash }
  const pushed = { parent: ROOT, path: [], token: GAME, amount: 1n }
  await follow(name, [
    { kind: 'asked', at, question, ...terms },
    { kind: 'pushed', at, question, ...pushed },
  ])
  await stores.duties.rest(question, { reason: null, time: null })
  await db.query(`delete from pgboss.job`)
})

const pull: Pull = { owner: OWNER, path: [], question: zeroHash, token: GAME, amount: 7n }

/** A batch that is taken to be mined in a block of that number and name. */
async function redeemed(block: number, name: string): Promise<number> {
  const { id } = await stores.redemptions.want([pull])
  const tx = await mine(`redeem:${id}`, block, name)
  await stores.redemptions.mined(id, { tx, block })
  expect(await stores.redemptions.wanted()).toEqual([])
  return id
}

/** Takes back the newest block and puts another in its place. */
async function replace(name: string): Promise<void> {
  blocks = blocks.slice(0, -1)
  await follow(name, [], newest())
}

test('a move in a game whose block never became part of the chain is looked at again', async () => {
  await mine(`propose:${question}`, newest() + 1, 'ghost')
  await follow(`not a ghost ${question}`)
  expect(await jobs('duty')).toEqual([question])
})

test('a move in a game whose block was taken back is looked at again', async () => {
  const name = `taken ${question}`
  await follow(name)
  await mine(`propose:${question}`, newest(), name)
  expect(await jobs('duty')).toEqual([])
  await replace(`instead of ${question}`)
  expect(await jobs('duty')).toContain(question)
})

test('a redemption whose block never became part of the chain is sent again', async () => {
  const id = await redeemed(newest() + 1, 'ghost')
  await follow(`not a ghost ${question}`)
  expect(await stores.redemptions.wanted()).toEqual([{ id, pulls: [pull] }])
  expect(await jobs('redeem')).toEqual(['all'])
  await stores.redemptions.refused(id, { code: 'DONE', message: '' })
})

test('a redemption whose block was taken back is sent again, though the new head is no lower', async () => {
  const name = `taken ${question}`
  await follow(name)
  const id = await redeemed(newest(), name)
  await replace(`instead of ${question}`)
  expect(await stores.redemptions.wanted()).toEqual([{ id, pulls: [pull] }])
  expect(await jobs('redeem')).toEqual(['all'])
  await stores.redemptions.refused(id, { code: 'DONE', message: '' })
})

test('a redemption whose block was taken back before it was written down stays to be sent', async () => {
  const { id } = await stores.redemptions.want([pull])
  const tx = await mine(`redeem:${id}`, newest() + 1, 'ghost')
  await follow(`not a ghost ${question}`)
  await stores.redemptions.mined(id, { tx, block: newest() })
  expect(await stores.redemptions.wanted()).toEqual([{ id, pulls: [pull] }])
  await stores.redemptions.refused(id, { code: 'DONE', message: '' })
})

test('what is in a block of the chain is left alone', async () => {
  const name = `kept ${question}`
  await mine(`propose:${question}`, newest() + 1, name)
  const { id } = await stores.redemptions.want([pull])
  const tx = await mine(`redeem:${id}`, newest() + 1, name)
  await stores.redemptions.mined(id, { tx, block: newest() + 1 })
  await follow(name)
  await follow(`after ${question}`)
  expect([await jobs('duty'), await jobs('redeem')]).toEqual([[], []])
  expect(await stores.redemptions.wanted()).toEqual([])
})
