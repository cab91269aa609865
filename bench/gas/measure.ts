import { artifacts } from 'hardhat'
import { type Abi, encodeDeployData, encodeFunctionData, type Hex, maxUint256 } from 'viem'
import { tokenAbi } from '../../sdk/abi.ts'
import { type Chain, type Cost, withChain } from './chain.ts'
import { conditionalTokensCode, conditionalTokensSystem } from './conditionalTokens.ts'
import { type Floor, floorOf } from './floor.ts'
import { ledgerSystem } from './ledger.ts'
import { type Actors, runOperations } from './operations.ts'
import { plainSystem } from './plain.ts'
import type { System } from './system.ts'

const FUNDS = 10n ** 30n

/** A mean over conditions and its standard error, in gas. */
export type Mean = { mean: number; standardError: number }

/** One operation, side by side. The systems other than the ledger are there when they were asked for. */
export type Measurement = {
  operation: string
  ledger: Mean
  conditionalTokens?: Mean
  plain?: Mean
  /** Of the ledger's own transactions, for the first condition. */
  floor: Floor
}

/** How many conditions each system gets. Conditional Tokens' cost is random by condition, the ledger's all but constant. */
export type Conditions = { ledger: number; conditionalTokens: number; plain: number }

/**
 * Measures every operation on one chain in one run: whole transactions as receipts report them, from accounts that
 * approved every system without limit, while accounts and systems hold some of the collateral. Addresses, questions and
 * amounts are fixed, so the figures are the same in every run.
 */
export function measure(
  conditions: Conditions,
  note: (text: string) => void = () => {},
): Promise<Measurement[]> {
  return withChain(async (chain) => {
    const { actors, collateral, ledger, conditionalTokens, plain } = await prepare(chain)
    const run = async (system: System, count: number) => {
      if (count > 0) note(`${system.name}: ${count} conditions`)
      const runs: Map<string, Cost>[] = []
      for (let condition = 0; condition < count; condition++)
        runs.push(await runOperations(system, actors, chain.send, condition))
      return runs
    }
    const runs = {
      ledger: await run(ledger, conditions.ledger),
      conditionalTokens: await run(conditionalTokens, conditions.conditionalTokens),
      plain: await run(plain, conditions.plain),
    }
    const measurements: Measurement[] = []
    for (const [operation, cost] of runs.ledger[0]!) {
      const mean = (of: Map<string, Cost>[]) => meanOf(of.map((each) => each.get(operation)!.gas))
      measurements.push({
        operation,
        ledger: mean(runs.ledger),
        ...(conditions.conditionalTokens > 0 && {
          conditionalTokens: mean(runs.conditionalTokens),
        }),
        ...(conditions.plain > 0 && { plain: mean(runs.plain) }),
        floor: await floorOf(chain, cost, ledger.address, collateral),
      })
    }
    return measurements
  })
}

/** A compiled contract's creation code with its constructor's arguments. */
async function code(name: string, args: readonly unknown[] = []): Promise<Hex> {
  const { abi, bytecode } = await artifacts.readArtifact(name)
  return encodeDeployData({ abi: abi as Abi, bytecode: bytecode as Hex, args })
}

/** Deploys the collateral and the three systems at fixed addresses, and funds everybody. */
async function prepare(chain: Chain) {
  const [alice, bob, carol, dave] = chain.accounts as [Hex, Hex, Hex, Hex]
  const actors: Actors = { alice, bob, carol, dave }
  const collateral = await chain.deploy(await code('TestToken', ['Test Dollar', 'TUSD', 18]))
  const setting = { oracle: alice, collateral }
  const address = {
    ledger: await chain.deploy(await code('Multiverse')),
    conditionalTokens: await chain.deploy(conditionalTokensCode()),
    plain: await chain.deploy(await code('PlainLedger')),
  }
  const systems = Object.values(address)
  const owners = Object.values(actors)
  for (const holder of [...owners, ...systems])
    await chain.send(alice, {
      to: collateral,
      data: encodeFunctionData({ abi: tokenAbi, functionName: 'mint', args: [holder, FUNDS] }),
    })
  for (const owner of owners)
    for (const system of systems)
      await chain.send(owner, {
        to: collateral,
        data: encodeFunctionData({
          abi: tokenAbi,
          functionName: 'approve',
          args: [system, maxUint256],
        }),
      })
  return {
    actors,
    collateral,
    ledger: ledgerSystem({ ...setting, address: address.ledger }),
    conditionalTokens: conditionalTokensSystem(
      { ...setting, address: address.conditionalTokens },
      chain.read,
    ),
    plain: plainSystem({ ...setting, address: address.plain }),
  }
}

/** Mean and standard error of a sample; the error of a single figure is 0. */
export function meanOf(sample: readonly number[]): Mean {
  const mean = sample.reduce((a, b) => a + b, 0) / sample.length
  if (sample.length < 2) return { mean, standardError: 0 }
  const squares = sample.reduce((sum, each) => sum + (each - mean) ** 2, 0)
  const variance = squares / (sample.length - 1)
  return { mean, standardError: Math.sqrt(variance / sample.length) }
}
