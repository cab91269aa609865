/** What the project has to know of a network beyond what its RPC says. */
export type Network = {
  /** What `--network` calls it; null for a chain that is not in the table. */
  name: string | null
  title: string
  chainId: number
  /** Environment variable that holds the URL of a JSON-RPC; null for the local chain, whose stack knows its own. */
  rpcVariable: string | null
  /** Blocks on top of a block before what depends on it is taken as settled. */
  confirmations: number
  /** Milliseconds between blocks, roughly: how often to look. */
  blockTimeMs: number
  /** Where people look at contracts; null where there is nothing. */
  explorerUrl: string | null
  isTestnet: boolean
}

/** The chain id of local development chains, where blocks are never taken back unless a test does it. */
export const LOCAL_CHAIN_ID = 31_337

/** Where the RPC of a chain that is not in the table is given. */
const ANY_RPC = 'MULTIVERSE_RPC_URL'

// Confirmations: two epochs' worth would be finality on L1; these are the depths at which reorganisations stop in practice,
// and on rollups the sequencer's promise. Whoever has more at stake gives the keeper a larger number.
const networks: readonly (Network & { name: string })[] = [
  {
    name: 'local',
    title: 'local chain',
    chainId: LOCAL_CHAIN_ID,
    rpcVariable: null,
    confirmations: 0,
    blockTimeMs: 2_000,
    explorerUrl: null,
    isTestnet: true,
  },
  l1('mainnet', 'Ethereum', 1, 'https://etherscan.io', false),
  l1('sepolia', 'Sepolia', 11_155_111, 'https://sepolia.etherscan.io', true),
  l1('hoodi', 'Hoodi', 560_048, 'https://hoodi.etherscan.io', true),
  l2('base', 'Base', 8_453, 2_000, 'https://basescan.org', false),
  l2('base-sepolia', 'Base Sepolia', 84_532, 2_000, 'https://sepolia.basescan.org', true),
  l2('optimism', 'OP Mainnet', 10, 2_000, 'https://optimistic.etherscan.io', false),
  l2(
    'optimism-sepolia',
    'OP Sepolia',
    11_155_420,
    2_000,
    'https://sepolia-optimism.etherscan.io',
    true,
  ),
  l2('arbitrum', 'Arbitrum One', 42_161, 250, 'https://arbiscan.io', false),
  l2('arbitrum-sepolia', 'Arbitrum Sepolia', 421_614, 250, 'https://sepolia.arbiscan.io', true),
]

/** The networks that have a name, the local one first. */
export function namedNetworks(): readonly (Network & { name: string })[] {
  return networks
}

/** The network of a name; undefined when there is none in the table. */
export function networkNamed(name: string): Network | undefined {
  return networks.find((network) => network.name === name)
}

/** The network of a chain id; careful defaults for a chain that is not in the table. */
export function networkOf(chainId: number): Network {
  return (
    networks.find((network) => network.chainId === chainId) ?? {
      name: null,
      title: `chain ${chainId}`,
      chainId,
      rpcVariable: ANY_RPC,
      confirmations: 12,
      blockTimeMs: 12_000,
      explorerUrl: null,
      isTestnet: false,
    }
  )
}

/** Whether it is a local development chain, whose wallets have names and whose blocks count at once. */
export function isLocalChain(chainId: number): boolean {
  return chainId === LOCAL_CHAIN_ID
}

/** Milliseconds between looks at the head: a fraction of the time between blocks, within reason for public RPCs. */
export function pollMsOf({ chainId, blockTimeMs }: Network): number {
  return isLocalChain(chainId) ? 50 : Math.min(4_000, Math.max(500, Math.round(blockTimeMs / 4)))
}

function l1(name: string, title: string, chainId: number, explorerUrl: string, isTestnet: boolean) {
  return {
    ...common(name, title, chainId, explorerUrl, isTestnet),
    confirmations: 12,
    blockTimeMs: 12_000,
  }
}

function l2(
  name: string,
  title: string,
  chainId: number,
  blockTimeMs: number,
  explorerUrl: string,
  isTestnet: boolean,
) {
  return { ...common(name, title, chainId, explorerUrl, isTestnet), confirmations: 20, blockTimeMs }
}

function common(
  name: string,
  title: string,
  chainId: number,
  explorerUrl: string,
  isTestnet: boolean,
) {
  const rpcVariable = `${name.toUpperCase().replaceAll('-', '_')}_RPC_URL`
  return { name, title, chainId, rpcVariable, explorerUrl, isTestnet }
}
