import { formatUnits } from 'viem'
import { readContract } from 'viem/actions'
import { tokenAbi } from '../../sdk/abi.ts'
import { approve, contractError, pullUp, pushDown } from '../../sdk/actions.ts'
import type { MultiverseLog } from '../../sdk/events.ts'
import { childPaths, outcomesIn, verseId } from '../../sdk/ids.ts'
import type { MoveOutput } from '../../sdk/output.ts'
import { type CommonOptions, type Context, openContext, type TokenInfo } from '../context.ts'
import { plain, type Result, table } from '../output.ts'
import { formatPath, resolvePath, resolveQuestion } from '../path.ts'
import { parseAmount } from '../values.ts'
import { nameOf } from '../wallets.ts'
import { describePath } from './describe.ts'

export type MoveOptions = CommonOptions & {
  question: string
  path: string
  amount: string
  to?: string
  token?: string
}

/** Splits an amount of the parent verse into every answer of a question. Approves the token first where needed. */
export function pushDownVerb(options: MoveOptions): Promise<Result<MoveOutput>> {
  return move(options, 'push-down')
}

/** Merges an amount of every answer still possible back into the parent verse; after the answer, redeems. */
export function pullUpVerb(options: MoveOptions): Promise<Result<MoveOutput>> {
  return move(options, 'pull-up')
}

async function move(
  options: MoveOptions,
  kind: 'push-down' | 'pull-up',
): Promise<Result<MoveOutput>> {
  const context = await openContext(options)
  const { catalog, deployment, isLocal } = context
  const question = await resolveQuestion(options.question, catalog)
  const path = await resolvePath(options.path, catalog)
  const token = await context.token(options.token)
  const amount = parseAmount(options.amount, token.decimals)
  const wallet = await context.wallet()
  const owner = wallet.account.address
  const to = options.to === undefined ? owner : context.address(options.to)
  const isFromRoot = kind === 'push-down' && path.length === 0
  const approveTx = isFromRoot ? await approveIfNeeded(context, token, amount) : null
  const act = kind === 'push-down' ? pushDown : pullUp
  const { hash, receipt, logs } = await act(wallet, {
    multiverse: deployment.addresses.multiverse,
    path,
    question,
    token: token.address,
    amount,
    to,
  })
  const labels = await catalog.labels(question)
  const children = childPaths(path, question).map((child, outcome) => ({
    verse: verseId(child),
    outcome,
    label: labels?.[outcome] ?? null,
  }))
  const survivors = survivorsOf(logs)
  const touched = children.filter(({ outcome }) => survivors.includes(outcome))
  const formatted = formatUnits(amount, token.decimals)
  const [from, into] = [
    await formatPath(path, catalog),
    `${touched.length === 1 ? '1 verse' : `${touched.length} verses`}: ${touched.map(({ label, outcome }) => plain(label ?? `${outcome}`)).join(', ')}`,
  ]
  return {
    json: {
      kind,
      verse: verseId(path),
      path: await describePath(path, catalog),
      question,
      children,
      survivors,
      token: token.address,
      amount: formatted,
      owner,
      to,
      approveTx,
      tx: hash,
      block: Number(receipt.blockNumber),
    },
    text: table([
      [kind === 'push-down' ? 'pushed down' : 'pulled up', `${formatted} ${token.symbol}`],
      ['from', kind === 'push-down' ? from : into],
      ['to', kind === 'push-down' ? into : from],
      ['owner', nameOf(to, isLocal)],
      ...(approveTx === null ? [] : [['approval', approveTx]]),
      ['tx', hash],
    ]),
  }
}

/** The outcomes that a move gave to or took from, as its event tells. */
function survivorsOf(logs: readonly MultiverseLog[]): number[] {
  const moved = logs.find((log) => log.eventName === 'PushDown' || log.eventName === 'PullUp')
  return moved === undefined ? [] : outcomesIn(moved.args.survivors)
}

async function approveIfNeeded(context: Context, token: TokenInfo, amount: bigint) {
  const wallet = await context.wallet()
  const { multiverse } = context.deployment.addresses
  let allowance: bigint
  try {
    allowance = await readContract(context.client, {
      address: token.address,
      abi: tokenAbi,
      functionName: 'allowance',
      args: [wallet.account.address, multiverse],
    })
  } catch (error) {
    throw contractError(error)
  }
  if (allowance >= amount) return null
  const { hash } = await approve(wallet, {
    token: token.address,
    spender: multiverse,
    amount,
  })
  return hash
}
