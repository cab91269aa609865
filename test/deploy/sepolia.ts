import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Hex, zeroAddress, zeroHash } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { multiverse } from '../cli/harness.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'

export const SEPOLIA = 11_155_111

/** A chain that says it is Sepolia, a wallet without ether, and a data folder for what is deployed from it. */
export type Sepolia = {
  chain: LocalChain
  dataDir: string
  key: Hex
  account: ReturnType<typeof privateKeyToAccount>
  /** What the command is told by its environment; may be added to. */
  env: Record<string, string>
  /** `multiverse deploy` on it, with two confirmations. */
  deploy: (...args: string[]) => ReturnType<typeof multiverse>
  /** How many transactions the wallet has sent. */
  transactions: () => Promise<number>
  stop: () => Promise<void>
}

/** Starts one, with blocks of its own every half second and a base fee that moves. No public network is used. */
export async function startSepolia(): Promise<Sepolia> {
  const [dataDir, chain] = await Promise.all([
    mkdtemp(join(tmpdir(), 'multiverse-network-')),
    startChain({
      args: ['--chain-id', `${SEPOLIA}`, '--block-time', '0.5'],
      deployment: {
        version: 1,
        chainId: SEPOLIA,
        addresses: { multiverse: zeroAddress, worlds: zeroAddress, token: zeroAddress },
        startBlock: 0,
        startBlockHash: zeroHash,
      },
    }),
  ])
  const key = generatePrivateKey()
  const account = privateKeyToAccount(key)
  const env: Record<string, string> = {
    SEPOLIA_RPC_URL: chain.url,
    MULTIVERSE_PRIVATE_KEY: key,
    ETHERSCAN_API_KEY: '',
  }
  const always = ['deploy', '--network', 'sepolia', '--data', dataDir, '--confirmations', '2']
  return {
    chain,
    dataDir,
    key,
    account,
    env,
    deploy: (...args) => multiverse([...always, ...args], env),
    transactions: () => chain.publicClient.getTransactionCount({ address: account.address }),
    async stop() {
      await chain.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
