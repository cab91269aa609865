import {
  type Address,
  encodeAbiParameters,
  encodeFunctionData,
  type Hex,
  hexToBigInt,
  keccak256,
  parseAbi,
} from 'viem'
import type { Question, Route, Setting, System } from './system.ts'

const abi = parseAbi([
  'function ask(address oracle, uint8 outcomes, bytes32 salt)',
  'function answer(bytes32 question, uint8 winner)',
  'function pushDown(uint256 parent, bytes32 question, address token, uint256 amount)',
  'function pullUp(uint256 parent, bytes32 question, address token, uint256 amount)',
  'function transfer(address receiver, uint256 id, uint256 amount)',
])

/** `contracts/mocks/PlainLedger.sol`: one stored balance per child. */
export function plainSystem({ address, collateral, oracle }: Setting): System {
  const questionId = ({ salt, outcomes }: Question): Hex =>
    keccak256(
      encodeAbiParameters(
        [{ type: 'address' }, { type: 'uint8' }, { type: 'bytes32' }],
        [oracle, outcomes, salt],
      ),
    )
  const positionId = (route: Route): bigint =>
    route.reduce(
      (parent, { question, outcome }) =>
        hexToBigInt(
          keccak256(
            encodeAbiParameters(
              [{ type: 'uint256' }, { type: 'bytes32' }, { type: 'uint256' }, { type: 'address' }],
              [parent, questionId(question), BigInt(outcome), collateral],
            ),
          ),
        ),
      0n,
    )

  const move =
    (functionName: 'pushDown' | 'pullUp') =>
    async (_owner: Address, route: Route, question: Question, amount: bigint) => {
      const args = [positionId(route), questionId(question), collateral, amount] as const
      return { to: address, data: encodeFunctionData({ abi, functionName, args }) }
    }

  return {
    name: 'plain ERC-6909',
    address,
    ask: ({ salt, outcomes }) => ({
      to: address,
      data: encodeFunctionData({ abi, functionName: 'ask', args: [oracle, outcomes, salt] }),
    }),
    pushDown: move('pushDown'),
    pullUp: move('pullUp'),
    transfer: async (_from, to, route, amount) => ({
      to: address,
      data: encodeFunctionData({
        abi,
        functionName: 'transfer',
        args: [to, positionId(route), amount],
      }),
    }),
    answer: (question, winner) => ({
      to: address,
      data: encodeFunctionData({
        abi,
        functionName: 'answer',
        args: [questionId(question), winner],
      }),
    }),
    redeem: (owner, question, _winner, amount) => move('pullUp')(owner, [], question, amount),
    sorted: (questions) => [...questions],
  }
}
