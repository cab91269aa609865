import { type Address, encodeAbiParameters, type Hex, keccak256, toBytes } from 'viem'

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

/** Names of what one keeper makes for its partitions: the same at every run, and no other keeper's. */
export type Names = {
  /** A world: of an outcome, or with null the one that is split. */
  world: (key: Hex, outcome: number | null) => string
  branch: (key: Hex) => string
  wev: (key: Hex) => string
  resolution: (key: Hex) => string
}

export function createNames(keeperId: string): Names {
  const name = (kind: string, key: Hex, part = '') =>
    `${kind}-${keccak256(toBytes(`${keeperId}:${key}:${part}`)).slice(2, 22)}`
  return {
    world: (key, outcome) => name('world', key, outcome === null ? 'base' : `${outcome}`),
    branch: (key) => name('branch', key),
    wev: (key) => name('wev', key),
    resolution: (key) => name('resolution', key),
  }
}
