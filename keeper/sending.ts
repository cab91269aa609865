import type { LocalAccount } from 'viem'
import type { Deployment } from '../sdk/deployment.ts'
import type { Rpc } from './chain/rpc.ts'
import type { Config } from './config.ts'
import { errorFields, type Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { TxStore } from './store/txs.ts'
import { createDryRun } from './tx/dryRun.ts'
import { createPolicy } from './tx/policy.ts'
import { createSender, type Sender } from './tx/send.ts'

/** The keeper's sender, as its settings bound it, and what looks after its transactions. */
export type Sending = {
  sender: Sender
  /** Sees to what is in no block, now; faults are logged, and the next time goes on. */
  tend: () => Promise<void>
  /** Does so every few seconds from now on. Gives what ends that. */
  keepTending: () => () => Promise<void>
}

/** Transactions in no block are seen to so often, milliseconds. */
const TEND_MS = 5_000

export function createSending(options: {
  config: Config
  deployment: Deployment
  account: LocalAccount
  rpc: Rpc
  txs: TxStore
  pollMs: number
  metrics: Pick<Metrics, 'transaction'>
  log: Log
}): Sending {
  const { config, deployment, account, rpc, metrics, log } = options
  const { chainId, addresses } = deployment
  const signing = createSender({
    ...options,
    chainId,
    policy: createPolicy(config.allowedCalls, addresses, account.address),
    limits: config.tx,
    onSettled: (state) => metrics.transaction(state),
  })
  const sender = config.isDryRun ? createDryRun(signing, { rpc, log }) : signing
  const tend = () =>
    sender.tend().catch((error: unknown) => log.warn(errorFields(error), 'upkeep.failed'))
  return {
    sender,
    tend,
    keepTending() {
      const timer = setInterval(() => void tend(), TEND_MS)
      return async () => clearInterval(timer)
    },
  }
}
