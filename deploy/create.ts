import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, type Hex, hexToNumber, type LocalAccount } from 'viem'
import { getBalance, sendRawTransaction } from 'viem/actions'
import { MultiverseError, oneLine } from '../sdk/errors.ts'
import { networkOf, pollMsOf } from '../sdk/networks.ts'
import type { PlannedContract } from './contracts.ts'
import { answered, type Provider, readCode, request } from './identity.ts'
import type { Journal } from './journal.ts'
import { contractStands, type Fees, readFees } from './plan.ts'
import { create2Calldata, PROXY_ADDRESS, PROXY_CREATION } from './proxy.ts'
import { createTransactions } from './transactions.ts'

type Deps = {
  client: Client
  /** Null to send nothing. */
  account: LocalAccount | null
  chainId: number
  confirmations: number
  /** The highest price to offer for gas. */
  ceiling: Fees
  journal: Journal
  signal: AbortSignal
  say: (line: string) => void
}

/** How often everything is looked at again before a chain that does not keep what it was given is given up. */
const ATTEMPTS = 5
const PROXY_PATIENCE_MS = 5 * 60_000
const PROXY_SOURCE = 'https://github.com/Arachnid/deterministic-deployment-proxy'

/**
 * Makes every contract stand, and waits until what it took is `confirmations` blocks deep.
 * @throws NO_WALLET when something is missing and nobody pays, NO_PROXY, OTHER_CODE, DEPLOY_FAILED, NOT_MINED, INTERRUPTED, RPC_FAILED
 */
export async function createContracts(
  contracts: readonly PlannedContract[],
  deps: Deps,
): Promise<void> {
  const provider = deps.client as Provider
  const { account, chainId } = deps
  const pollMs = pollMsOf(networkOf(chainId))
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const missing = await missingOf(provider, contracts)
    if (missing.length === 0) return
    if (account === null)
      throw new MultiverseError(
        'NO_WALLET',
        `${missing.map(({ name }) => name).join(' and ')} must be created on chain ${chainId}, and no wallet pays for it`,
      )
    const mined = createTransactions({ ...deps, account, pollMs })
    await requireProxy(deps, mined, pollMs)
    let deepest = 0n
    for (const { name, initCode } of missing) {
      const call = { to: PROXY_ADDRESS, data: create2Calldata(initCode) }
      const { blockNumber } = await mined(name, call)
      if (blockNumber > deepest) deepest = blockNumber
    }
    // A reorganisation until then may take something back, and a node behind others may not have it yet.
    await untilBlock(Number(deepest) + deps.confirmations, deps, pollMs)
  }
  const [lacking] = await missingOf(provider, contracts)
  if (lacking !== undefined)
    throw new MultiverseError(
      'DEPLOY_FAILED',
      `${lacking.name} was created at ${lacking.address} and is not there`,
    )
}

async function missingOf(provider: Provider, contracts: readonly PlannedContract[]) {
  const stand = await Promise.all(contracts.map((each) => contractStands(provider, each)))
  return contracts.filter((_, index) => stand[index] !== true)
}

async function untilBlock(block: number, { client, signal, say }: Deps, pollMs: number) {
  let isAnnounced = false
  for (;;) {
    const head = hexToNumber((await request(client as Provider, 'eth_blockNumber')) as Hex)
    if (head >= block) return
    if (!isAnnounced) say(`created: waiting for block ${block}, the chain is at ${head}`)
    isAnnounced = true
    if (signal.aborted)
      throw new MultiverseError(
        'INTERRUPTED',
        'ended before it was confirmed: the same command goes on',
      )
    await sleep(pollMs)
  }
}

/** Creates the proxy on a chain that lacks it. @throws NO_PROXY when the chain does not let that be done */
async function requireProxy(
  { client, signal, say }: Deps,
  mined: ReturnType<typeof createTransactions>,
  pollMs: number,
): Promise<void> {
  const provider = client as Provider
  const stands = async () => (await readCode(provider, PROXY_ADDRESS)) !== '0x'
  if (await stands()) return
  const { sender, cost, gasPrice, raw } = PROXY_CREATION
  const { price } = await readFees(client)
  if (price > gasPrice)
    throw noProxy('gas costs more here than its creation pays: wait until it is below 100 gwei')
  const has = await answered('eth_getBalance', () => getBalance(client, { address: sender }))
  if (has < cost) await mined('proxy funding', { to: sender, value: cost - has })
  say(`creating the deterministic deployment proxy at ${PROXY_ADDRESS}`)
  const refusal = await sendRawTransaction(client, { serializedTransaction: raw }).then(
    () => undefined,
    // Refused when it is on its way already, too: whether it comes is what counts.
    (error: unknown) => oneLine(error),
  )
  const deadline = Date.now() + (refusal === undefined ? PROXY_PATIENCE_MS : pollMs * 10)
  while (!(await stands())) {
    if (signal.aborted)
      throw new MultiverseError('INTERRUPTED', 'ended before it was done: the same command goes on')
    if (Date.now() > deadline) throw noProxy(refusal ?? 'its creation is in no block')
    await sleep(pollMs)
  }
}

function noProxy(reason: string): MultiverseError {
  return new MultiverseError(
    'NO_PROXY',
    `this chain has no deployment proxy at ${PROXY_ADDRESS} (${reason}): see ${PROXY_SOURCE}`,
  )
}
