import { createRequire } from 'node:module'
import {
  type Address,
  decodeFunctionResult,
  encodeFunctionData,
  encodePacked,
  type Hex,
  hexToBigInt,
  keccak256,
  parseAbi,
} from 'viem'
import type { Chain } from './chain.ts'
import type { Question, Route, Setting, System } from './system.ts'

const abi = parseAbi([
  'function prepareCondition(address oracle, bytes32 questionId, uint256 outcomeSlotCount)',
  'function splitPosition(address collateralToken, bytes32 parentCollectionId, bytes32 conditionId, uint256[] partition, uint256 amount)',
  'function mergePositions(address collateralToken, bytes32 parentCollectionId, bytes32 conditionId, uint256[] partition, uint256 amount)',
  'function safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes data)',
  'function reportPayouts(bytes32 questionId, uint256[] payouts)',
  'function redeemPositions(address collateralToken, bytes32 parentCollectionId, bytes32 conditionId, uint256[] indexSets)',
  'function getCollectionId(bytes32 parentCollectionId, bytes32 conditionId, uint256 indexSet) view returns (bytes32)',
])

const NO_PARENT: Hex = `0x${'0'.repeat(64)}`

/** The creation code that Gnosis published, from its npm package. */
export function conditionalTokensCode(): Hex {
  const { bytecode } = createRequire(import.meta.url)(
    '@gnosis.pm/conditional-tokens-contracts/build/contracts/ConditionalTokens.json',
  ) as { bytecode: Hex }
  return bytecode
}

const partition = ({ outcomes }: Question) =>
  Array.from({ length: outcomes }, (_, outcome) => 1n << BigInt(outcome))

/** Gnosis Conditional Tokens 1.0.3. Its collection ids are points on a curve, so the contract itself is asked for them. */
export function conditionalTokensSystem(
  { address, collateral, oracle }: Setting,
  read: Chain['read'],
): System {
  const condition = ({ salt, outcomes }: Question): Hex =>
    keccak256(encodePacked(['address', 'bytes32', 'uint256'], [oracle, salt, BigInt(outcomes)]))
  async function collection(route: Route): Promise<Hex> {
    let id = NO_PARENT
    for (const { question, outcome } of route) {
      const args = [id, condition(question), 1n << BigInt(outcome)] as const
      const functionName = 'getCollectionId'
      const data = await read({
        to: address,
        data: encodeFunctionData({ abi, functionName, args }),
      })
      id = decodeFunctionResult({ abi, functionName, data })
    }
    return id
  }

  const split =
    (functionName: 'splitPosition' | 'mergePositions') =>
    async (_owner: Address, route: Route, question: Question, amount: bigint) => {
      const parent = await collection(route)
      const args = [collateral, parent, condition(question), partition(question), amount] as const
      return { to: address, data: encodeFunctionData({ abi, functionName, args }) }
    }

  return {
    name: 'Conditional Tokens',
    address,
    ask: ({ salt, outcomes }) => ({
      to: address,
      data: encodeFunctionData({
        abi,
        functionName: 'prepareCondition',
        args: [oracle, salt, BigInt(outcomes)],
      }),
    }),
    pushDown: split('splitPosition'),
    pullUp: split('mergePositions'),
    async transfer(from, to, route, amount) {
      const packed = encodePacked(['address', 'bytes32'], [collateral, await collection(route)])
      const args = [from, to, hexToBigInt(keccak256(packed)), amount, '0x'] as const
      return {
        to: address,
        data: encodeFunctionData({ abi, functionName: 'safeTransferFrom', args }),
      }
    },
    answer: ({ salt, outcomes }, winner) => ({
      to: address,
      data: encodeFunctionData({
        abi,
        functionName: 'reportPayouts',
        args: [salt, Array.from({ length: outcomes }, (_, each) => (each === winner ? 1n : 0n))],
      }),
    }),
    redeem: async (_owner, question, winner) => ({
      to: address,
      data: encodeFunctionData({
        abi,
        functionName: 'redeemPositions',
        args: [collateral, NO_PARENT, condition(question), [1n << BigInt(winner)]],
      }),
    }),
    sorted: (questions) => [...questions],
  }
}
