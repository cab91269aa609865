import { type Abi, type Address, concatHex, type Hex, toFunctionSelector } from 'viem'
import type { LocalChain } from '../../helpers/chain.ts'

// A contract that does all it did, but for one function that reverts without a word.

/** Where the code goes that was there before: nobody's address. */
const BEFORE: Address = '0x00000000000000000000000000000000000beef0'

/** Has a function of a deployed contract revert whoever calls it. Gives what ends that. */
export async function refuse(
  { publicClient, testClient }: LocalChain,
  address: Address,
  abi: Abi,
  name: string,
): Promise<() => Promise<void>> {
  const item = abi.find((each) => each.type === 'function' && each.name === name)
  if (item?.type !== 'function') throw new Error(`no function ${name}`)
  const code = (await publicClient.getCode({ address }))!
  await testClient.setCode({ address: BEFORE, bytecode: code })
  await testClient.setCode({ address, bytecode: refusing(toFunctionSelector(item), BEFORE) })
  return () => testClient.setCode({ address, bytecode: code })
}

/** Bytecode that reverts for one selector and has another contract's code do the rest, with this one's storage. */
function refusing(selector: Hex, to: Address): Hex {
  return concatHex([
    // The selector of the call, and where to go if it is that one.
    '0x60003560e01c63',
    selector,
    '0x14604457',
    // All of the call to the other code.
    '0x3660006000376000600036600073',
    to,
    '0x5af4',
    // What it gave, as success or as revert.
    '0x3d6000803e603f573d6000fd5b3d6000f3',
    '0x5b60006000fd',
  ])
}
