import { readFile } from 'node:fs/promises'
import {
  type Abi,
  type Address,
  getAddress,
  type Hex,
  maxUint256,
  numberToHex,
  zeroHash,
} from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { approve, ask, exit, getBalance, mint, narrow, pushDown } from '../../sdk/actions.ts'
import { type Path, questionId, ROOT, verseId } from '../../sdk/ids.ts'
import { getBalances, getPullUps, getVerses } from '../../sdk/lens.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'

// What an owner does with the lens: look at everything at once, then leave through as many levels as there are.

const AMOUNT = 1000n

let chain: LocalChain
let lens: Address
let multiverse: Address
let token: Address
/** In ascending order. */
let low: Hex
let high: Hex

beforeAll(async () => {
  chain = await startChain()
  multiverse = chain.deployment.addresses.multiverse
  token = getAddress(chain.deployment.addresses.token)
  const url = new URL(
    '../../artifacts/contracts/MultiverseLens.sol/MultiverseLens.json',
    import.meta.url,
  )
  const { abi, bytecode } = JSON.parse(await readFile(url, 'utf8')) as { abi: Abi; bytecode: Hex }
  const hash = await chain.wallet(8).deployContract({ abi, bytecode, args: [multiverse] })
  const { contractAddress } = await chain.publicClient.waitForTransactionReceipt({ hash })
  lens = contractAddress!
  const asked = [await newQuestion(1), await newQuestion(2)].toSorted()
  ;[low, high] = [asked[0]!, asked[1]!]
  await mint(chain.wallet(0), { token, to: owner(), amount: AMOUNT })
  await approve(chain.wallet(0), { token, spender: multiverse, amount: maxUint256 })
  await pushDown(chain.wallet(0), { multiverse, path: [], question: high, token, amount: AMOUNT })
  await pushDown(chain.wallet(0), {
    multiverse,
    path: at(high, 1),
    question: low,
    token,
    amount: 400n,
  })
}, 120_000)

afterAll(() => chain.stop())

const owner = () => chain.accounts[0]!.address
const at = (question: Hex, outcome: number): Path => [{ question, outcome }]

async function newQuestion(salt: number): Promise<Hex> {
  const terms = {
    oracle: chain.accounts[9]!.address,
    outcomes: 2,
    deadline: 4_102_444_800n,
    specHash: numberToHex(salt, { size: 32 }),
    termsHash: zeroHash,
  }
  await ask(chain.wallet(9), { multiverse, uri: '', ...terms })
  return questionId(terms)
}

test('looks at many paths at once, then exits through two levels', async () => {
  const client = chain.publicClient
  const deep: Path = [...at(low, 0), ...at(high, 1)]
  const paths = [[], at(high, 0), at(high, 1), deep]
  expect(await getBalances(client, { lens, owner: owner(), paths, tokens: [token] })).toEqual([
    [0n],
    [1000n],
    [600n],
    [400n],
  ])
  const [root, , , deepest] = await getVerses(client, { lens, paths })
  expect(root).toEqual({ verse: ROOT, parents: [], isAlive: true, isCertain: true })
  expect(deepest).toEqual({
    verse: verseId(deep),
    parents: [verseId(at(high, 1)), verseId(at(low, 0))],
    isAlive: true,
    isCertain: false,
  })

  const found = await getPullUps(client, { lens, owner: owner(), paths, tokens: [token] })
  expect(found).toEqual([
    { token, parent: ROOT, question: high, path: [], survivors: 3n, amount: 600n },
    {
      token,
      parent: verseId(at(high, 1)),
      question: low,
      path: at(high, 1),
      survivors: 3n,
      amount: 400n,
    },
  ])

  const levels = [
    { path: at(high, 1), question: low, amount: 400n },
    { path: [], question: high, amount: AMOUNT },
  ]
  const { logs } = await exit(chain.wallet(0), {
    multiverse,
    levels,
    token,
    to: chain.accounts[1]!.address,
  })
  expect(logs.filter(({ eventName }) => eventName === 'PullUp')).toHaveLength(2)
  const read = { multiverse, verse: ROOT, token }
  expect(await getBalance(client, { ...read, owner: chain.accounts[1]!.address })).toBe(AMOUNT)
  expect(await getPullUps(client, { lens, owner: owner(), paths, tokens: [token] })).toEqual([])
})

test('names what is wrong', async () => {
  const client = chain.publicClient
  const backwards = [...at(high, 0), ...at(low, 0)]
  const unknown = at(numberToHex(2, { size: 32 }), 0)
  await expect(getVerses(client, { lens, paths: [backwards] })).rejects.toMatchObject({
    code: 'PATH_NOT_ASCENDING',
  })
  await expect(
    getBalances(client, { lens, owner: owner(), paths: [[]], tokens: [lens] }),
  ).rejects.toMatchObject({ code: 'INVALID_TOKEN' })
  await expect(
    getPullUps(client, { lens, owner: owner(), paths: [unknown], tokens: [token] }),
  ).rejects.toMatchObject({ code: 'UNKNOWN_QUESTION' })
  await expect(exit(chain.wallet(0), { multiverse, levels: [], token })).rejects.toMatchObject({
    code: 'NO_LEVELS',
  })
})

test('a verse that collapsed is no longer alive', async () => {
  await narrow(chain.wallet(9), { multiverse, question: high, survivors: 1n })
  const views = await getVerses(chain.publicClient, { lens, paths: [at(high, 0), at(high, 1)] })
  expect(views.map(({ isAlive, isCertain }) => [isAlive, isCertain])).toEqual([
    [true, true],
    [false, false],
  ])
})
