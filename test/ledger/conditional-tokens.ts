import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import {
  type Abi,
  type Address,
  encodeFunctionData,
  encodePacked,
  type Hex,
  hexToBigInt,
  keccak256,
  numberToHex,
  parseAbi,
  zeroHash,
} from 'viem'
import { expect } from 'vitest'
import { BEGIN, type History, type Operation, OWNERS, type Scene, TOKENS } from './operations.ts'
import type { Event, Model } from './model.ts'
import { ORACLE, type Stage, type StageCall } from './stage.ts'

const abi = parseAbi([
  'function prepareCondition(address oracle, bytes32 questionId, uint256 outcomeSlotCount)',
  'function reportPayouts(bytes32 questionId, uint256[] payouts)',
  'function splitPosition(address collateralToken, bytes32 parentCollectionId, bytes32 conditionId, uint256[] partition, uint256 amount)',
  'function mergePositions(address collateralToken, bytes32 parentCollectionId, bytes32 conditionId, uint256[] partition, uint256 amount)',
  'function redeemPositions(address collateralToken, bytes32 parentCollectionId, bytes32 conditionId, uint256[] indexSets)',
  'function getCollectionId(bytes32 parentCollectionId, bytes32 conditionId, uint256 indexSet) view returns (bytes32)',
  'function balanceOf(address owner, uint256 id) view returns (uint256)',
  'function safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes data)',
])

/** Gnosis's Conditional Tokens, their published bytecode, on a stage, with the tokens they are played in. */
export async function createConditionalTokens(stage: Stage) {
  const artifact = fileURLToPath(
    import.meta
      .resolve('@gnosis.pm/conditional-tokens-contracts/build/contracts/ConditionalTokens.json'),
  )
  const { abi: whole, bytecode } = JSON.parse(await readFile(artifact, 'utf8')) as {
    abi: Abi
    bytecode: Hex
  }
  const address = await stage.deployCode(whole, bytecode, [])
  return { address, tokens: await stage.fund(address) }
}

/** A plain history on Conditional Tokens, held against the model after every scene: every position, every wallet. */
export async function playConditionalTokens(
  stage: Stage,
  { address, tokens }: { address: Address; tokens: Address[] },
  story: History,
  model: Model,
) {
  const oracle = stage.actors[ORACLE]!
  const questions = story.outcomes.map((_, index) =>
    keccak256(numberToHex(story.salt * 16 + index, { size: 32 })),
  )
  const conditions = story.outcomes.map((count, index) =>
    keccak256(
      encodePacked(['address', 'bytes32', 'uint256'], [oracle, questions[index]!, BigInt(count)]),
    ),
  )
  const { results } = await stage.play(
    story.outcomes.map((count, index) => ({
      actor: 0,
      target: address,
      data: encodeFunctionData({
        abi,
        functionName: 'prepareCondition',
        args: [oracle, questions[index]!, BigInt(count)],
      }),
    })),
    BEGIN - 1,
  )
  expect(results.every(({ ok }) => ok)).toBe(true)

  /** Questions answered before the operation that is being encoded. */
  const over = new Set<number>()
  const collections = new Map<Event, Hex>([[model.everything, zeroHash]])

  /** Looks up the collections of these events and of all that they are derived from, level by level. */
  async function collect(events: readonly Event[]): Promise<void> {
    const missing = new Set<Event>()
    const want = (event: Event): void => {
      if (collections.has(event) || missing.has(event)) return
      missing.add(event)
      want(parentOf(event))
    }
    events.forEach(want)
    while (missing.size > 0) {
      const level = [...missing].filter((event) => collections.has(parentOf(event)))
      const ids = await stage.read(
        address,
        level.map((event) => {
          const { question, outcome } = model.path(event).at(-1)!
          return encodeFunctionData({
            abi,
            functionName: 'getCollectionId',
            args: [collections.get(parentOf(event))!, conditions[question]!, 1n << BigInt(outcome)],
          })
        }),
      )
      for (const [index, event] of level.entries()) {
        collections.set(event, ids[index]!)
        missing.delete(event)
      }
    }
  }

  const parentOf = (event: Event) => model.without(event, model.path(event).at(-1)!.question)
  const positions = tokens.map(() => new Map<Event, bigint>())
  const idOf = (token: number, event: Event) => {
    const known = positions[token]!.get(event)
    if (known !== undefined) return known
    const collection = collections.get(event)!
    const id = hexToBigInt(
      keccak256(encodePacked(['address', 'bytes32'], [tokens[token]!, collection])),
    )
    positions[token]!.set(event, id)
    return id
  }

  function call(operation: Operation): StageCall {
    if (operation.kind === 'pushDown' || operation.kind === 'pullUp') {
      const { owner } = operation
      return { actor: owner, target: address, data: moveData(operation) }
    }
    if (operation.kind === 'transfer') {
      const { token, owner, event, amount, to } = operation
      const args = [
        stage.actors[owner]!,
        stage.actors[to]!,
        idOf(token, event),
        amount,
        '0x',
      ] as const
      const data = encodeFunctionData({ abi, functionName: 'safeTransferFrom', args })
      return { actor: owner, target: address, data }
    }
    if (operation.kind !== 'narrow')
      throw new Error(`Conditional Tokens cannot express ${operation.kind}`)
    const { question, survivors } = operation
    const payouts = Array.from({ length: story.outcomes[question]! }, (_, outcome) =>
      outcome === survivors[0] ? 1n : 0n,
    )
    const args = [questions[question]!, payouts] as const
    const data = encodeFunctionData({ abi, functionName: 'reportPayouts', args })
    return { actor: ORACLE, target: address, data }
  }

  /** Split, merge, or redeem once the question has its answer. */
  function moveData(operation: Operation & { kind: 'pushDown' | 'pullUp' }): Hex {
    const { kind, token, parent, question, amount } = operation
    const where = [tokens[token]!, collections.get(parent)!, conditions[question]!] as const
    const sets = indexSets(story.outcomes[question]!)
    if (kind === 'pullUp' && over.has(question)) {
      const args = [...where, [sets[model.live(question)[0]!]!]] as const
      return encodeFunctionData({ abi, functionName: 'redeemPositions', args })
    }
    return encodeFunctionData({
      abi,
      functionName: kind === 'pushDown' ? 'splitPosition' : 'mergePositions',
      args: [...where, sets, amount],
    })
  }

  /** Plays a scene that the model has played, and compares. */
  async function play(scene: Scene): Promise<void> {
    await collect(
      scene.operations.flatMap((operation) => {
        if (operation.kind === 'transfer') return [operation.event]
        return 'parent' in operation ? [operation.parent] : []
      }),
    )
    const calls = scene.operations.map((operation) => {
      if (operation.kind === 'narrow') over.add(operation.question)
      return call(operation)
    })
    const played = await stage.play(calls, scene.timestamp)
    expect(played.results.map(({ ok }) => ok)).toEqual(calls.map(() => true))
    if (scene.operations.length === 0) await checkPositions()
    for (const [token, each] of tokens.entries())
      expect(await stage.gains(each), 'wallets').toEqual(
        Array.from({ length: OWNERS }, (_, owner) => model.wallet(token, owner)),
      )
  }

  /** Every position of every owner; read when all is decided, before anybody leaves. */
  async function checkPositions(): Promise<void> {
    for (let token = 0; token < TOKENS; token++) {
      for (let owner = 0; owner < OWNERS; owner++) {
        const holdings = model.holdings(token, owner)
        await collect(holdings.map(([event]) => event))
        for (const [event] of holdings) idOf(token, event)
        const touched = [...positions[token]!.keys()]
        const found = await stage.read(
          address,
          touched.map((event) =>
            encodeFunctionData({
              abi,
              functionName: 'balanceOf',
              args: [stage.actors[owner]!, idOf(token, event)],
            }),
          ),
        )
        expect(
          found.map((data) => BigInt(data)),
          'positions',
        ).toEqual(touched.map((event) => model.held(token, owner, event)))
      }
    }
  }

  return { play }
}

/** One index set for each outcome: the finest partition. */
function indexSets(outcomes: number): bigint[] {
  return Array.from({ length: outcomes }, (_, outcome) => 1n << BigInt(outcome))
}
