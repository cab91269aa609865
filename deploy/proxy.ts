import { type Address, concat, getContractAddress, type Hex } from 'viem'

// The deterministic deployment proxy that stands at the same address on nearly every chain: called with salt and init code
// it creates the contract by CREATE2. https://github.com/Arachnid/deterministic-deployment-proxy

/** Where it stands. */
export const PROXY_ADDRESS: Address = '0x4e59b44847b379578588920cA78FbF26c0B4956C'

/**
 * How it comes to a chain that lacks it: a transaction of an account that nobody has the key of, signed once for all chains.
 * Its signature was chosen and not computed, so it can create this and nothing else. `sender` must own `cost` first, and the
 * chain must take transactions without a chain id at 100 gwei.
 */
export const PROXY_CREATION = {
  sender: '0x3fAB184622Dc19b6109349B94811493BF2a45362',
  gas: 100_000n,
  gasPrice: 100_000_000_000n,
  cost: 10_000_000_000_000_000n,
  raw: '0xf8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba02222222222222222222222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222',
} as const satisfies { sender: Address; raw: Hex; [key: string]: unknown }

/** One salt for everything: what tells contracts apart is their init code. Never to change. */
const SALT: Hex = `0x${'00'.repeat(32)}`

/** Where init code ends up, on every chain and whoever sends it. */
export function create2Address(initCode: Hex): Address {
  return getContractAddress({
    opcode: 'CREATE2',
    from: PROXY_ADDRESS,
    salt: SALT,
    bytecode: initCode,
  })
}

/** The proxy's calldata that creates the contract. */
export function create2Calldata(initCode: Hex): Hex {
  return concat([SALT, initCode])
}
