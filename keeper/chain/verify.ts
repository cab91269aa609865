import { type Deployment, requireCode } from '../../sdk/deployment.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { getHeader, type Rpc, rpcError } from './rpc.ts'

/**
 * Whether the endpoint serves the chain that the deployment is on.
 * @throws OTHER_CHAIN, NO_CONTRACT, OTHER_CODE; RPC_FAILED when it cannot be told now
 */
export async function verifyChain(rpc: Rpc, deployment: Deployment): Promise<void> {
  const chainId = await rpc.getChainId().catch(rethrow)
  if (chainId !== deployment.chainId)
    throw new MultiverseError(
      'OTHER_CHAIN',
      `the endpoint serves chain ${chainId}, the deployment is on chain ${deployment.chainId}`,
    )
  const { startBlock, startBlockHash } = deployment
  const newest = await getHeader(rpc)
  if (newest.number < startBlock)
    throw new MultiverseError(
      'OTHER_CHAIN',
      `the chain ends at block ${newest.number}, before the deployment's block ${startBlock}`,
    )
  const start = await getHeader(rpc, startBlock)
  if (start.hash !== startBlockHash)
    throw new MultiverseError(
      'OTHER_CHAIN',
      `block ${startBlock} is ${start.hash}, the deployment's is ${startBlockHash}: this is another chain`,
    )
  await requireCode(deployment, (address) => rpc.getCode({ address }).catch(rethrow))
}

function rethrow(error: unknown): never {
  throw rpcError(error)
}
