import { type Address, encodeFunctionData, erc20Abi, type Hex, isAddressEqual } from 'viem'
import { estimateContractGas, readContract } from 'viem/actions'
import { multiverseAbi } from '../../sdk/abi.ts'
import { contractError, getBalance } from '../../sdk/actions.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { isMultiverseError } from '../../sdk/errors.ts'
import { type Path, verseId } from '../../sdk/ids.ts'
import { type Rpc, rpcError } from '../chain/rpc.ts'
import { failure } from '../jobs/outcome.ts'
import type { Work } from '../jobs/retries.ts'
import { errorFields, type Log } from '../log.ts'
import type { ChainStore } from '../store/chain.ts'
import type { Pull, Redemption, RedemptionStore } from '../store/redemptions.ts'
import type { Call, Mined, Sender } from '../tx/send.ts'
import { certainVerses, exitsOf } from './exits.ts'
import type { DutyConfig } from './settings.ts'

/** Pulls winners up for owners who named the keeper. The ledger pays the owner alone; the keeper pays the gas. */
export type Redeeming = Pick<Work, 'run' | 'bury' | 'withhold'>

export type RedeemOptions = {
  config: DutyConfig
  rpc: Rpc
  chain: Pick<ChainStore, 'view'>
  redemptions: RedemptionStore
  sender: Sender
  deployment: Deployment
  log: Log
}

/** Pull-ups in one transaction: far from what a block holds. */
const MAX_PULLS = 64
/** Batches in one run. */
const MAX_BATCHES = 16
const PARALLEL_READS = 32

/** All that goes up together for one owner and token, to ROOT; what that is worth. */
type Exit = { pulls: Pull[]; valueWei: bigint }

export function createRedeeming(options: RedeemOptions): Redeeming {
  const { config, rpc, chain, redemptions, sender, log } = options
  const { multiverse } = options.deployment.addresses
  const decimals = new Map<Address, number>()

  async function run(): Promise<void> {
    for (let batch = 0; batch < MAX_BATCHES; batch++) {
      // What is under way would be found again.
      for (const wanted of await redemptions.wanted()) await send(wanted)
      const pulls = await profitable(await findExits())
      if (pulls.length === 0) return
      await send(await redemptions.want(pulls))
    }
  }

  async function send({ id, pulls }: Redemption): Promise<void> {
    let mined: Mined
    try {
      mined = await sender.perform(purposeOf(id), callOf(pulls))
    } catch (error) {
      if (!isMultiverseError(error) || error.isRetryable) throw error
      // An owner went up alone, or takes the keeper's name back. What is left is found anew.
      await redemptions.refused(id, failure(error))
      log.warn({ redemption: id, ...errorFields(error) }, 'redemption.refused')
      return
    }
    await redemptions.mined(id, mined)
    const owners = new Set(pulls.map(({ owner }) => owner)).size
    log.info({ redemption: id, pulls: pulls.length, owners, ...mined }, 'redemption.mined')
  }

  /** What every owner can be given, the most valuable first. */
  async function findExits(): Promise<Exit[]> {
    const { deep, deepTime } = chain.view()
    const owners = await redemptions.owners(deep)
    if (owners.length === 0) return []
    const winners = await redemptions.winners(deep, deepTime)
    const verses = certainVerses(await redemptions.splits(), winners)
    if (verses.length === 0) return []
    const exits: Exit[] = []
    for (const owner of owners)
      for (const [token, price] of config.prices) {
        const balances = await balancesOf(owner, token, verses)
        const pulls = exitsOf(owner, token, verses, balances)
        if (pulls.length === 0) continue
        const unit = 10n ** BigInt(await decimalsOf(token))
        const total = [...balances.values()].reduce((sum, each) => sum + each, 0n)
        exits.push({ pulls: pulls.slice(0, MAX_PULLS), valueWei: (total * price) / unit })
      }
    return exits.toSorted((a, b) => (a.valueWei < b.valueWei ? 1 : -1))
  }

  /**
   * As many exits as fit in a batch, each of which is worth its gas: what its own pull-ups cost at the present price is at most
   * `redeemGasPercent` of what they bring the owner.
   */
  async function profitable(exits: readonly Exit[]): Promise<Pull[]> {
    const price = exits.length === 0 ? 0n : await rpc.getGasPrice().catch(reject)
    const chosen: Pull[] = []
    for (const { pulls, valueWei } of exits) {
      if (chosen.length + pulls.length > MAX_PULLS) break
      const gas = await gasOf(pulls)
      if (gas === null) continue
      const costWei = gas * price
      if (costWei * 100n > valueWei * BigInt(config.redeemGasPercent)) {
        const { owner, token } = pulls[0]!
        log.debug({ owner, token, costWei, valueWei }, 'redemption.unprofitable')
        continue
      }
      chosen.push(...pulls)
    }
    return chosen
  }

  /** What pull-ups take; null when they would be refused now. @throws RPC_FAILED */
  async function gasOf(pulls: readonly Pull[]): Promise<bigint | null> {
    const { to: address, ...call } = callOf(pulls)
    try {
      return await estimateContractGas(rpc, { address, ...call, account: sender.address })
    } catch (cause) {
      const error = contractError(cause)
      if (error.isRetryable) throw error
      log.warn({ owner: pulls[0]!.owner, ...errorFields(error) }, 'redemption.refused')
      return null
    }
  }

  function callOf(pulls: readonly Pull[]): Call {
    const calls = pulls.map(({ owner, path, question, token, amount }) =>
      encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'pullUpFor',
        args: [owner, [...path], question, token, amount],
      }),
    )
    return { to: multiverse, abi: multiverseAbi, functionName: 'multicall', args: [calls] }
  }

  async function balancesOf(owner: Address, token: Address, verses: readonly Path[]) {
    const balances = new Map<Hex, bigint>()
    for (let at = 0; at < verses.length; at += PARALLEL_READS)
      await Promise.all(
        verses.slice(at, at + PARALLEL_READS).map(async (path) => {
          const verse = verseId(path)
          const amount = await getBalance(rpc, { multiverse, verse, token, owner }).catch(reject)
          if (amount > 0n) balances.set(verse, amount)
        }),
      )
    return balances
  }

  async function decimalsOf(token: Address): Promise<number> {
    const known = [...decimals].find(([each]) => isAddressEqual(each, token))
    if (known !== undefined) return known[1]
    const read = await readContract(rpc, {
      address: token,
      abi: erc20Abi,
      functionName: 'decimals',
    }).catch(reject)
    decimals.set(token, read)
    return read
  }

  return { run, bury: async () => {}, withhold: async () => {} }
}

function purposeOf(id: number): string {
  return `redeem:${id}`
}

function reject(error: unknown): never {
  throw rpcError(error)
}
