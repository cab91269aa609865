import * as fc from 'fast-check'
import { artifacts, network } from 'hardhat'
import {
  type Abi,
  type Address,
  createPublicClient,
  createWalletClient,
  custom,
  type Hex,
  keccak256,
  maxUint64,
  numberToHex,
  parseAbi,
  toHex,
  zeroHash,
} from 'viem'
import { hardhat } from 'viem/chains'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { multiverseAbi, tokenAbi } from '../../sdk/abi.ts'
import {
  type Answer,
  canonicalPath,
  childVerse,
  insertAnswer,
  isPhantom,
  partitionId,
  positionId,
  questionId,
  ROOT,
  setId,
  verseId,
} from '../../sdk/ids.ts'

const CASES = 10_000
const BATCH = 500

const harnessAbi = parseAbi([
  'struct Answer { bytes32 question; uint8 outcome; }',
  'struct Input { address oracle; uint8 outcomes; uint64 deadline; bytes32 specHash; bytes32 termsHash; uint8 outcome; address token; Answer[] path; }',
  'struct Output { bytes32 question; bytes32 verse; bytes32 partition; bytes32 child; bytes32 inserted; uint256 position; uint256 set; bool isPhantom; }',
  'function derive(Input[] inputs) pure returns (Output[])',
  'function phantoms(uint256[] ids) pure returns (bool[])',
])

type Input = {
  oracle: Address
  outcomes: number
  deadline: bigint
  specHash: Hex
  termsHash: Hex
  outcome: number
  token: Address
  path: Answer[]
}

const connection = await network.create('default')
const transport = custom(connection.provider, { retryCount: 0 })
const client = createPublicClient({ chain: hardhat, transport, pollingInterval: 10 })
const [alice, bob] = await createWalletClient({ chain: hardhat, transport }).getAddresses()
const wallet = createWalletClient({ account: alice!, chain: hardhat, transport })

afterAll(() => connection.close())

async function deploy(name: string, args: readonly unknown[] = []): Promise<Address> {
  const { abi, bytecode } = await artifacts.readArtifact(name)
  const hash = await wallet.deployContract({ abi: abi as Abi, bytecode: bytecode as Hex, args })
  const { contractAddress } = await client.waitForTransactionReceipt({ hash })
  return contractAddress!
}

/** Ids as the TypeScript twins derive them, in the shape of the harness's output. */
function derive(input: Input) {
  const question = questionId(input)
  const verse = verseId(input.path)
  const inserted = verseId(insertAnswer(input.path, { question, outcome: input.outcome }))
  const position = positionId(inserted, input.token)
  return {
    question,
    verse,
    partition: partitionId(verse, question),
    child: childVerse(verse, question, input.outcome),
    inserted,
    position,
    set: setId(position),
    isPhantom: isPhantom(position),
  }
}

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => toHex(array))
const hash = fc.oneof(
  { weight: 9, arbitrary: bytes(32) },
  { weight: 1, arbitrary: fc.constant(zeroHash) },
)
const address = bytes(20)
const outcomes = fc.oneof(fc.integer({ min: 2, max: 254 }), fc.constantFrom(2, 3, 253, 254))

/** An outcome of a question, its first and its last ones more often. */
const outcomeOf = (count: number) =>
  fc.oneof(fc.integer({ min: 0, max: count - 1 }), fc.constantFrom(0, count - 1))

const answer: fc.Arbitrary<Answer> = fc.tuple(bytes(31), outcomes).chain(([head, count]) =>
  outcomeOf(count).map((outcome) => ({
    question: `${head}${toHex(count, { size: 1 }).slice(2)}` as Hex,
    outcome,
  })),
)

const input: fc.Arbitrary<Input> = outcomes.chain((count) =>
  fc.record({
    oracle: address,
    outcomes: fc.constant(count),
    deadline: fc.oneof(fc.bigInt({ min: 0n, max: maxUint64 }), fc.constantFrom(0n, maxUint64)),
    specHash: hash,
    termsHash: hash,
    outcome: outcomeOf(count),
    token: address,
    path: fc
      .uniqueArray(answer, { maxLength: 5, selector: ({ question }) => question })
      .map((answers) => canonicalPath(answers)),
  }),
)

describe('ids are the same in Solidity and in TypeScript', () => {
  let harness: Address
  beforeAll(async () => {
    harness = await deploy('IdsHarness')
  })

  async function expectParity(inputs: readonly Input[]): Promise<void> {
    for (let from = 0; from < inputs.length; from += BATCH) {
      const batch = inputs.slice(from, from + BATCH)
      const outputs = await client.readContract({
        address: harness,
        abi: harnessAbi,
        functionName: 'derive',
        args: [batch],
      })
      expect(outputs).toEqual(batch.map(derive))
    }
  }

  test(`${CASES} random cases`, { timeout: 180_000 }, async () => {
    const inputs = fc.sample(input, { numRuns: CASES, seed: 1 })
    await expectParity(inputs)
    // The sample has to have put questions first, in the middle and last.
    const places = inputs.map((each) => {
      const question = questionId(each)
      return each.path.filter((step) => step.question < question).length / each.path.length
    })
    expect(places.filter((place) => place === 0).length).toBeGreaterThan(CASES / 20)
    expect(places.filter((place) => place > 0 && place < 1).length).toBeGreaterThan(CASES / 20)
    expect(places.filter((place) => place === 1).length).toBeGreaterThan(CASES / 20)
  })

  test('edges', async () => {
    const plain = {
      oracle: alice!,
      deadline: maxUint64,
      specHash: zeroHash,
      termsHash: zeroHash,
      token: bob!,
    }
    const top: Answer = { question: `0x${'ff'.repeat(31)}fe`, outcome: 253 }
    const bottom: Answer = { question: numberToHex(2, { size: 32 }), outcome: 0 }
    const paths = [[], [top], [bottom], [bottom, top]]
    const inputs = paths.flatMap((path) =>
      [2, 254].flatMap((count) =>
        [0, count - 1].map((outcome) => ({ ...plain, outcomes: count, outcome, path })),
      ),
    )
    await expectParity(inputs)
    expect(verseId([])).toBe(ROOT)
    expect(inputs.some((each) => derive(each).isPhantom)).toBe(false)
  })

  test('phantom ids', async () => {
    const tails = Array.from({ length: 2 ** 16 }, (_, tail) => BigInt(tail))
    const head = BigInt(keccak256('0x')) & ~0xffffn
    for (const base of [0n, head]) {
      for (let from = 0; from < tails.length; from += 2 ** 12) {
        const ids = tails.slice(from, from + 2 ** 12).map((tail) => base | tail)
        const answers = await client.readContract({
          address: harness,
          abi: harnessAbi,
          functionName: 'phantoms',
          args: [ids],
        })
        expect(answers).toEqual(ids.map(isPhantom))
      }
    }
  })
})

describe('ids that name nothing hold nothing', () => {
  test('after a push-down, phantom and dirty ids have balance 0 and do not move', async () => {
    const ledger = await deploy('Multiverse')
    const token = await deploy('TestToken', ['Test Dollar', 'TUSD', 6])
    const terms = {
      oracle: alice!,
      outcomes: 3,
      deadline: maxUint64,
      specHash: zeroHash,
      termsHash: zeroHash,
    }
    const question = questionId(terms)
    const { oracle, deadline, specHash, termsHash } = terms
    const onLedger = { address: ledger, abi: multiverseAbi } as const
    const onToken = { address: token, abi: tokenAbi } as const
    await wallet.writeContract({ ...onToken, functionName: 'mint', args: [alice!, 100n] })
    await wallet.writeContract({ ...onToken, functionName: 'approve', args: [ledger, 100n] })
    await wallet.writeContract({
      ...onLedger,
      functionName: 'ask',
      args: [oracle, 3, deadline, specHash, termsHash, ''],
    })
    await wallet.writeContract({
      ...onLedger,
      functionName: 'pushDown',
      args: [[], question, token, 100n, alice!],
    })

    const balanceOf = (id: bigint) =>
      client.readContract({ ...onLedger, functionName: 'balanceOf', args: [alice!, id] })
    const transfer = (id: bigint) =>
      client.simulateContract({
        ...onLedger,
        account: alice!,
        functionName: 'transfer',
        args: [bob!, id, 1n],
      })

    const real = [0, 1, 2].map((outcome) => positionId(childVerse(ROOT, question, outcome), token))
    for (const id of real) {
      expect(await balanceOf(id)).toBe(100n)
      await transfer(id)
    }
    const id = real[0]!
    const phantom = [id | 3n, id | 0xfen, setId(id), id & ~0xffffn, positionId(ROOT, token), 0n]
    for (const each of phantom) {
      expect(isPhantom(each)).toBe(true)
      expect(await balanceOf(each)).toBe(0n)
      await expect(transfer(each)).rejects.toThrow(`PhantomPosition(uint256 id)`)
    }
    // Another number of outcomes, or another hash, names another group.
    const dirty = [id | (1n << 10n), id | 0xff00n, id ^ (1n << 16n), id ^ (1n << 255n)]
    for (const each of dirty) {
      expect(isPhantom(each)).toBe(false)
      expect(await balanceOf(each)).toBe(0n)
      await expect(transfer(each)).rejects.toThrow('InsufficientBalance')
    }
  })
})
