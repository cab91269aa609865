import {
  type Abi,
  type Account,
  type Address,
  BaseError,
  type Chain,
  type Client,
  ContractFunctionRevertedError,
  encodeFunctionData,
  type Hex,
  type TransactionReceipt,
  type Transport,
} from 'viem'
import {
  estimateContractGas,
  readContract,
  sendTransaction,
  waitForTransactionReceipt,
} from 'viem/actions'
import { multiverseAbi, tokenAbi, worldsAbi } from './abi.ts'
import { MultiverseError, oneLine } from './errors.ts'
import { type MultiverseLog, multiverseLogs } from './events.ts'
import type { Answer, Path, QuestionTerms } from './ids.ts'

/** A viem client that can read. */
export type ReadClient = Client<Transport, Chain | undefined>
/** A viem client that can sign for its account. */
export type WriteClient = Client<Transport, Chain | undefined, Account>

/** What a write came to: mined and not reverted. */
export type Written = { hash: Hex; receipt: TransactionReceipt; logs: MultiverseLog[] }

type OnLedger = { multiverse: Address }

/** One step of the ledger's partition algebra: the parent's path, the question, and how much of which token. */
export type MoveParameters = OnLedger & {
  path: Path
  question: Hex
  token: Address
  /** In the token's smallest unit. */
  amount: bigint
  /** Who gets it; the sender when left out. */
  to?: Address | undefined
}

/**
 * Asks a question (idempotent) and publishes where its spec is.
 * @throws CONTRACT_REVERT and the ledger's own codes, such as DEADLINE_PASSED
 */
export function ask(
  client: WriteClient,
  { multiverse, uri, ...terms }: OnLedger & QuestionTerms & { uri: string },
): Promise<Written> {
  return write(client, {
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'ask',
    args: [terms.oracle, terms.outcomes, terms.deadline, terms.specHash, terms.termsHash, uri],
  })
}

/** Gives `amount` in the parent verse, gets it in full in every surviving child. At ROOT the ERC-20 must be approved. */
export function pushDown(client: WriteClient, move: MoveParameters): Promise<Written> {
  return write(client, {
    address: move.multiverse,
    abi: multiverseAbi,
    functionName: 'pushDown',
    args: moveArguments(client, move),
  })
}

/** The inverse of {@link pushDown}; after the answer, the way to redeem what the winning verse holds. */
export function pullUp(client: WriteClient, move: MoveParameters): Promise<Written> {
  return write(client, {
    address: move.multiverse,
    abi: multiverseAbi,
    functionName: 'pullUp',
    args: moveArguments(client, move),
  })
}

/** One level of an exit: what a pull-up takes. */
export type Level = {
  path: Path
  question: Hex
  /** In the token's smallest unit. */
  amount: bigint
}

/** Several pull-ups of one token in one transaction, deepest first; `to` gets what the last one gives. */
export function exit(
  client: WriteClient,
  {
    multiverse,
    levels,
    token,
    to,
  }: Pick<MoveParameters, 'multiverse' | 'token' | 'to'> & { levels: readonly Level[] },
): Promise<Written> {
  return write(client, {
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'exit',
    args: [levels, token, to ?? client.account.address],
  })
}

/** Moves `amount` of a position to another owner. */
export function transfer(
  client: WriteClient,
  { multiverse, to, id, amount }: OnLedger & { to: Address; id: bigint; amount: bigint },
): Promise<Written> {
  return write(client, {
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'transfer',
    args: [to, id, amount],
  })
}

/** Rules outcomes out; only the question's oracle may. `survivors` is a bit mask. */
export function narrow(
  client: WriteClient,
  { multiverse, question, survivors }: OnLedger & { question: Hex; survivors: bigint },
): Promise<Written> {
  return write(client, {
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'narrow',
    args: [question, survivors],
  })
}

/** Records that the deadline decided an unanswered question. */
export function expire(
  client: WriteClient,
  { multiverse, question }: OnLedger & { question: Hex },
): Promise<Written> {
  return write(client, {
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'expire',
    args: [question],
  })
}

/** Names, or no longer names, an address that may pull up for the sender, always to the sender. */
export function setRedeemer(
  client: WriteClient,
  { multiverse, redeemer, allowed }: OnLedger & { redeemer: Address; allowed: boolean },
): Promise<Written> {
  return write(client, {
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'setRedeemer',
    args: [redeemer, allowed],
  })
}

/** Lets the ledger take `amount` of an ERC-20 from the sender. */
export function approve(
  client: WriteClient,
  { token, spender, amount }: { token: Address; spender: Address; amount: bigint },
): Promise<Written> {
  return write(client, {
    address: token,
    abi: tokenAbi,
    functionName: 'approve',
    args: [spender, amount],
  })
}

/** Mints of the demo token. */
export function mint(
  client: WriteClient,
  { token, to, amount }: { token: Address; to: Address; amount: bigint },
): Promise<Written> {
  return write(client, { address: token, abi: tokenAbi, functionName: 'mint', args: [to, amount] })
}

/** What `owner` has of `token` in `verse`; at ROOT the ERC-20 balance. */
export function getBalance(
  client: ReadClient,
  { multiverse, verse, token, owner }: OnLedger & { verse: Hex; token: Address; owner: Address },
): Promise<bigint> {
  return readContract(client, {
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'multiverseMap',
    args: [verse, token, owner],
  })
}

/** Bit mask of the outcomes still possible. @throws UNKNOWN_QUESTION */
export async function getLive(
  client: ReadClient,
  { multiverse, question }: OnLedger & { question: Hex },
): Promise<bigint> {
  try {
    return await readContract(client, {
      address: multiverse,
      abi: multiverseAbi,
      functionName: 'live',
      args: [question],
    })
  } catch (error) {
    throw contractError(error)
  }
}

/** A question as the ledger stores it; `status` 0 unknown, 1 open, 2 narrowed, 3 resolved. */
export function getQuestion(
  client: ReadClient,
  { multiverse, question }: OnLedger & { question: Hex },
) {
  return readContract(client, {
    address: multiverse,
    abi: multiverseAbi,
    functionName: 'questions',
    args: [question],
  })
}

/**
 * A failed call or transaction as one error: a reverting custom error `FooBar(a, b)` becomes code FOO_BAR with its
 * arguments in the message; anything else is RPC_FAILED (retryable).
 */
export function contractError(error: unknown): MultiverseError {
  if (error instanceof MultiverseError) return error
  const own =
    error instanceof BaseError ? error.walk((each) => each instanceof MultiverseError) : null
  if (own instanceof MultiverseError) return own
  const reverted =
    error instanceof BaseError
      ? error.walk((each) => each instanceof ContractFunctionRevertedError)
      : null
  if (reverted instanceof ContractFunctionRevertedError) {
    const name = reverted.data?.errorName
    if (name === undefined)
      return new MultiverseError(
        'CONTRACT_REVERT',
        `call reverted: ${reverted.reason ?? reverted.signature ?? 'without a reason'}`,
        { cause: error },
      )
    const values = (reverted.data?.args ?? []).map((value) => formatValue(value)).join(', ')
    return new MultiverseError(errorCode(name), `${name}(${values})`, { cause: error })
  }
  const message = error instanceof BaseError ? error.shortMessage : oneLine(error)
  return new MultiverseError('RPC_FAILED', message.split('\n', 1)[0] ?? message, {
    cause: error,
    isRetryable: true,
  })
}

/** `InsufficientBalance` → `INSUFFICIENT_BALANCE`, `ERC20InsufficientBalance` → `ERC20_INSUFFICIENT_BALANCE`. */
export function errorCode(errorName: string): string {
  return errorName
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/([A-Z0-9]+)([A-Z][a-z])/g, '$1_$2')
    .toUpperCase()
}

/** The errors of every contract, so that a revert from deeper down is named too. */
const allErrors: Abi = [...multiverseAbi, ...worldsAbi, ...tokenAbi].filter(
  (item) => item.type === 'error',
)

/** An ABI with the errors of every contract of the project's. */
export function withAllErrors(abi: Abi): Abi {
  return [...abi, ...allErrors]
}

type WriteParameters = {
  address: Address
  abi: Abi
  functionName: string
  args: readonly unknown[]
}

/** Estimates (which runs the call first), sends, waits for the receipt and decodes the ledger's logs. */
async function write(client: WriteClient, call: WriteParameters): Promise<Written> {
  const { address, functionName, args } = call
  const abi = withAllErrors(call.abi)
  try {
    const { account } = client
    const gas = await estimateContractGas(client, { address, abi, functionName, args, account })
    const hash = await sendTransaction(client, {
      account,
      chain: client.chain ?? null,
      to: address,
      data: encodeFunctionData({ abi, functionName, args }),
      gas: (gas * 12n) / 10n,
    })
    const receipt = await waitForTransactionReceipt(client, { hash, pollingInterval: 50 })
    if (receipt.status !== 'success')
      throw new MultiverseError('TX_REVERTED', `transaction ${hash} reverted`)
    return { hash, receipt, logs: multiverseLogs(receipt.logs) }
  } catch (error) {
    throw contractError(error)
  }
}

function moveArguments(client: WriteClient, move: MoveParameters) {
  return [
    move.path as Answer[],
    move.question,
    move.token,
    move.amount,
    move.to ?? client.account.address,
  ] as const
}

function formatValue(value: unknown): string {
  return typeof value === 'object' && value !== null
    ? JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}` : each))
    : String(value)
}
