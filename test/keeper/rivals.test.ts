import type { Hex } from 'viem'
import { beforeAll, expect, test, vi } from 'vitest'
import { keeperStatusVerb } from '../../cli/verbs/keeper.ts'
import { worldsAbi } from '../../sdk/abi.ts'
import { ROOT } from '../../sdk/ids.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { answersIn, askOracle, bankroll, gameTerms, pass, rests, untilDuty } from './oracles.ts'
import { createStage } from './stage.ts'
import { answersOf, eventually, isState, KEEPER, PATIENT, push, type TestKeeper } from './world.ts'

vi.setConfig(PATIENT)

// Two keepers that share nothing but the chain.

const OTHER = 7
const stage = createStage()
let chain: LocalChain
const keepers = new Map<number, TestKeeper>()

beforeAll(async () => {
  chain = await stage.chain({ withOracles: true })
  for (const account of [KEEPER, OTHER]) {
    await bankroll(chain, account, 10n ** 6n)
    const keeper = await stage.keeper(chain, {
      KEEPER_PRIVATE_KEY: chain.privateKey(account),
      KEEPER_DUTIES: 'settle,expire,propose',
      KEEPER_STAKES: `${chain.deployment.addresses.token}:1000`,
    })
    keepers.set(account, keeper)
  }
})

/** Who reported a question's partition, in the order of the chain. */
async function reporters(question: Hex): Promise<Hex[]> {
  const reports = await chain.publicClient.getContractEvents({
    address: chain.deployment.addresses.worlds,
    abi: worldsAbi,
    eventName: 'PartitionReported',
    args: { question },
    fromBlock: 0n,
    strict: true,
  })
  return reports.map(({ args }) => args.keeper)
}

test('each reports once under its own name, one answers, the other stands down, and finishes when the first is gone', async () => {
  const rules = gameTerms(chain)
  const { question } = await askOracle(chain, 'optimistic', rules, {
    outcome: { source: 'pipeline' },
  })
  await push(chain, question)
  for (const keeper of keepers.values()) {
    await keeper.until(ROOT, question, isState('reported'))
    await untilDuty(keeper, question, rests('ANSWER_STANDS'))
  }
  const addresses = [...keepers.keys()].map((account) => chain.accounts[account]!.address)
  const sorted = (all: string[]) => all.toSorted((a, b) => a.localeCompare(b))
  expect(sorted(await reporters(question))).toEqual(sorted(addresses))
  // Both had worlds of their own, and came to the same.
  const [first, second] = await Promise.all(
    [...keepers.values()].map((keeper) => keeper.partition(ROOT, question)),
  )
  expect(first!.worlds.map(({ stateRoot }) => stateRoot)).toEqual(
    second!.worlds.map(({ stateRoot }) => stateRoot),
  )
  // Both branched it, and both say so.
  for (const keeper of keepers.values())
    await eventually('a doubled partition', async () => {
      const { body } = await keeper.call('GET', '/status')
      const { doubled } = body as { doubled: number }
      return { value: doubled, isReached: doubled === 1 }
    })
  const { json, text } = await keeperStatusVerb({ data: [...keepers.values()][0]!.dataDir })
  expect(json.doubled).toBe(1)
  expect(text).toMatch(/branched by another too +1/)
  const { port } = [...keepers.values()][0]!
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  expect(metrics).toMatch(/^keeper_doubled_partitions 1$/m)
  const proposals = await answersIn(chain, question)
  expect(proposals).toHaveLength(1)

  const proposer = [...keepers.keys()].find(
    (account) => chain.accounts[account]!.address === proposals[0]!.answerer,
  )!
  await keepers.get(proposer)!.stop()
  keepers.delete(proposer)
  await pass(chain, rules.liveness)
  const [survivor] = keepers.values()
  await survivor!.until(ROOT, question, isState('resolved'))
  const answers = await eventually('an answer', async () => {
    const value = await answersOf(chain, question)
    return { value, isReached: value.length > 0 }
  })
  expect(answers.map(({ args }) => args.outcome)).toEqual([1])
  expect(await answersIn(chain, question)).toHaveLength(1)
  expect(survivor!.fatal).toEqual([])
})
