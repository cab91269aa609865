import { readFile } from 'node:fs/promises'
import { type Abi, type Address, type Hex, parseAbi } from 'viem'
import { approve, mint } from '../../sdk/actions.ts'
import { optimisticOracleAbi } from '../../sdk/abi.ts'
import { encodeTerms, oracleAddress, type OracleKind, type OracleTerms } from '../../sdk/terms.ts'
import type { Spec } from '../../sdk/spec.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { type Asked, askQuestion, eventually, spec, type TestKeeper } from './world.ts'

// What the tests of oracle duties share: questions to oracle contracts, moves of others in their games, the keeper's duties.

/** The one who moves against the keeper, and who deploys. */
export const RIVAL = 1
const DEPLOYER = 8

/** Asks a question of an oracle contract; its spec says the terms, so that anybody can settle it. */
export async function askOracle<K extends OracleKind>(
  chain: LocalChain,
  kind: K,
  terms: OracleTerms[K],
  changes: Partial<Spec> = {},
  deadlineInS = 100_000,
): Promise<Asked> {
  const encoded = encodeTerms(kind, terms)
  return askQuestion(chain, spec({ ...changes, terms: encoded.terms }), {
    oracle: oracleAddress(chain.deployment, kind)!,
    termsHash: encoded.termsHash,
    deadlineInS,
  })
}

/** Terms of a game in the demo token, without an arbitrator. */
export function gameTerms(
  chain: LocalChain,
  changes: Partial<OracleTerms['optimistic']> = {},
): OracleTerms['optimistic'] {
  return {
    bondToken: chain.deployment.addresses.token,
    minimumBond: 10n,
    opens: 0n,
    liveness: 100,
    arbitrator: '0x0000000000000000000000000000000000000000',
    arbitrationWindow: 0,
    ...changes,
  }
}

/** Gives an account tokens. */
export async function give(chain: LocalChain, index: number, amount: bigint): Promise<void> {
  const { token } = chain.deployment.addresses
  const to = chain.accounts[index]!.address
  await mint(chain.wallet(DEPLOYER), { token, to, amount })
}

/** Gives an account tokens, and lets the game take them. */
export async function bankroll(chain: LocalChain, index: number, amount: bigint): Promise<void> {
  const { token, optimisticOracle } = chain.deployment.addresses
  await give(chain, index, amount)
  await approve(chain.wallet(index), { token, spender: optimisticOracle!, amount })
}

/** Another's first answer. */
export async function propose(
  chain: LocalChain,
  { question, terms }: Asked,
  rules: OracleTerms['optimistic'],
  outcome: number,
  bond: bigint,
): Promise<void> {
  const { outcomes, deadline, specHash } = terms
  await sent(chain, RIVAL, {
    address: chain.deployment.addresses.optimisticOracle!,
    abi: optimisticOracleAbi,
    functionName: 'propose',
    args: [
      { outcomes, deadline, specHash },
      encodeTerms('optimistic', rules).terms,
      outcome,
      question,
      bond,
    ],
  })
}

/** Another's answer in place of the standing one. */
export async function dispute(
  chain: LocalChain,
  question: Hex,
  outcome: number,
  bond: bigint,
): Promise<void> {
  await sent(chain, RIVAL, {
    address: chain.deployment.addresses.optimisticOracle!,
    abi: optimisticOracleAbi,
    functionName: 'dispute',
    args: [question, outcome, question, bond],
  })
}

/** The answers given in a game, in order. */
export async function answersIn(chain: LocalChain, question: Hex) {
  const logs = await chain.publicClient.getContractEvents({
    address: chain.deployment.addresses.optimisticOracle!,
    abi: optimisticOracleAbi,
    eventName: 'AnswerGiven',
    args: { question },
    fromBlock: 0n,
    strict: true,
  })
  return logs.map(({ args }) => args)
}

/** Lets the chain's time pass, in a new block. */
export async function pass(chain: LocalChain, seconds: number): Promise<void> {
  await chain.testClient.increaseTime({ seconds })
  await chain.testClient.mine({ blocks: 1 })
}

/** The chain's present time, Unix seconds. */
export async function timeOf(chain: LocalChain): Promise<bigint> {
  return (await chain.publicClient.getBlock()).timestamp
}

export type DutyView = {
  question: Hex
  kind: string
  state: string
  decision: { outcome: number; source: string } | null
  reason: { code: string; message: string } | null
}

/** Waits until the keeper's duty in a question is as wanted. */
export function untilDuty(
  keeper: TestKeeper,
  question: Hex,
  wanted: (duty: DutyView) => boolean,
): Promise<DutyView> {
  return eventually(`duty ${question}`, async () => {
    const { body } = await keeper.call('GET', '/duties')
    const { duties } = body as { duties: DutyView[] }
    const duty = duties.find((each) => each.question === question)
    return { value: duty!, isReached: duty !== undefined && wanted(duty) }
  })
}

export const rests =
  (code: string) =>
  ({ reason }: DutyView): boolean =>
    reason?.code === code

/** Somebody else's transaction, mined. */
export async function sent(
  chain: LocalChain,
  from: number,
  call: {
    address: Address
    abi: Abi
    functionName: string
    args: readonly unknown[]
    value?: bigint
  },
): Promise<void> {
  // No estimate to the unit: what a second of a game costs to store is nothing in the second of the estimate itself.
  const hash = await chain.wallet(from).writeContract({ ...call, gas: 2_000_000n })
  const { status } = await chain.publicClient.waitForTransactionReceipt({ hash })
  if (status !== 'success') throw new Error(`${call.functionName} reverted`)
}

/** Deploys one of the compiled mocks. */
export async function deployMock(
  chain: LocalChain,
  name: string,
  args: readonly unknown[] = [],
): Promise<Address> {
  const url = new URL(`../../artifacts/contracts/mocks/${name}.sol/${name}.json`, import.meta.url)
  const { abi, bytecode } = JSON.parse(await readFile(url, 'utf8')) as { abi: Abi; bytecode: Hex }
  return create(chain, abi, bytecode, args)
}

/** The real reality.eth, from its npm package. */
export async function deployReality(chain: LocalChain): Promise<Address> {
  const url = new URL(
    '../../node_modules/@reality.eth/contracts/bytecode/RealityETH-3.2.bin',
    import.meta.url,
  )
  const code = (await readFile(url, 'utf8')).trim().replace(/^0x/, '')
  return create(chain, [], `0x${code}`, [])
}

export const realityAbi = parseAbi([
  'function askQuestionWithMinBond(uint256 template_id, string question, address arbitrator, uint32 timeout, uint32 opening_ts, uint256 nonce, uint256 min_bond) payable returns (bytes32)',
  'function submitAnswer(bytes32 question_id, bytes32 answer, uint256 max_previous) payable',
  'function getContentHash(bytes32 question_id) view returns (bytes32)',
])

async function create(
  chain: LocalChain,
  abi: Abi,
  bytecode: Hex,
  args: readonly unknown[],
): Promise<Address> {
  const hash = await chain.wallet(DEPLOYER).deployContract({ abi, bytecode, args: [...args] })
  const { contractAddress } = await chain.publicClient.waitForTransactionReceipt({ hash })
  return contractAddress!
}
