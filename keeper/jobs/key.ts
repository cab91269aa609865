import { type Address, encodeAbiParameters, type Hex, keccak256 } from 'viem'

/** Names a partition for ever, on any chain and ledger: every key of its jobs, steps and effects derives from it. */
export function partitionKey(
  chainId: number,
  multiverse: Address,
  { parent, question }: { parent: Hex; question: Hex },
): Hex {
  return keccak256(
    encodeAbiParameters(
      [{ type: 'uint256' }, { type: 'address' }, { type: 'bytes32' }, { type: 'bytes32' }],
      [BigInt(chainId), multiverse, parent, question],
    ),
  )
}
