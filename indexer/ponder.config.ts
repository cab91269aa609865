import { join } from 'node:path'
import { createConfig } from 'ponder'
import { zeroAddress } from 'viem'
import { multiverseAbi, optimisticOracleAbi, worldsAbi } from '../sdk/abi.ts'
import { isLocalChain, networkOf, pollMsOf } from '../sdk/networks.ts'
import { dataPaths, readDeployment } from '../sdk/node/data.ts'
import { required } from './service.ts'

// Read by ponder at its start; `main.ts` is what starts it.

const dataDir = required('MULTIVERSE_DATA')
const deployment = await readDeployment(dataDir)
const isLocal = isLocalChain(deployment.chainId)
const connectionString = process.env['INDEXER_DATABASE_URL']

export default createConfig({
  database: connectionString
    ? { kind: 'postgres', connectionString }
    : { kind: 'pglite', directory: join(dataPaths(dataDir).ponder, 'pglite') },
  chains: {
    multiverse: {
      id: deployment.chainId,
      // One backend may ask 20 times a second, of which polling takes half: a local chain bears more.
      rpc: Array.from({ length: isLocal ? 16 : 1 }, () => required('MULTIVERSE_RPC_URL')),
      pollingInterval: isLocal ? 100 : pollMsOf(networkOf(deployment.chainId)),
      // A local chain answers as fast as a cache, and can be begun anew under the same chain id.
      disableCache: isLocal,
    },
  },
  contracts: {
    Multiverse: {
      abi: multiverseAbi,
      chain: 'multiverse',
      address: deployment.addresses.multiverse,
      startBlock: deployment.startBlock,
    },
    // The one oracle that says more than what it tells the ledger. Nobody speaks from the zero address.
    OptimisticOracle: {
      abi: optimisticOracleAbi,
      chain: 'multiverse',
      address: deployment.addresses.optimisticOracle ?? zeroAddress,
      startBlock: deployment.startBlock,
    },
    Worlds: {
      abi: worldsAbi,
      chain: 'multiverse',
      address: deployment.addresses.worlds,
      startBlock: deployment.startBlock,
    },
  },
  blocks: {
    // Only new blocks: it keeps the head's hash in the tables and must not make a backfill fetch every block.
    Head: { chain: 'multiverse', interval: 1, startBlock: 'latest' },
  },
})
