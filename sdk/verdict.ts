import type { Address, Hex } from 'viem'

/**
 * What a committee's member signs of a question (EIP-712): the outcomes that survive, as a bit mask. As CommitteeOracle has it.
 * @param oracle the CommitteeOracle
 */
export function verdictTypedData(
  { chainId, oracle }: { chainId: number; oracle: Address },
  message: { question: Hex; survivors: bigint },
) {
  return {
    domain: {
      name: 'Multiverse CommitteeOracle',
      version: '1',
      chainId,
      verifyingContract: oracle,
    },
    types: {
      Verdict: [
        { name: 'question', type: 'bytes32' },
        { name: 'survivors', type: 'uint256' },
      ],
    },
    primaryType: 'Verdict',
    message,
  } as const
}
