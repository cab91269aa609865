import { formatUnits } from 'viem'
import { transfer } from '../../sdk/actions.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { positionId, verseId } from '../../sdk/ids.ts'
import type { TransferOutput } from '../../sdk/output.ts'
import { type CommonOptions, openContext } from '../context.ts'
import { type Result, table } from '../output.ts'
import { formatPath, resolvePath } from '../path.ts'
import { parseAmount } from '../values.ts'
import { nameOf } from '../wallets.ts'
import { describePath } from './describe.ts'

export type TransferOptions = CommonOptions & {
  verse: string
  to: string
  amount: string
  token?: string
}

/** Moves an amount of a token inside one verse to another owner. */
export async function transferVerb(options: TransferOptions): Promise<Result<TransferOutput>> {
  const context = await openContext(options)
  const { catalog, deployment, isLocal } = context
  const path = await resolvePath(options.verse, catalog)
  if (path.length === 0)
    throw new MultiverseError(
      'INVALID_PATH',
      'at root a token is the ERC-20 itself: transfer that with any wallet',
    )
  const to = context.address(options.to)
  const token = await context.token(options.token)
  const amount = parseAmount(options.amount, token.decimals)
  const wallet = await context.wallet()
  const from = wallet.account.address
  const verse = verseId(path)
  const id = positionId(verse, token.address)
  const { hash, receipt } = await transfer(wallet, {
    multiverse: deployment.addresses.multiverse,
    to,
    id,
    amount,
  })
  const formatted = formatUnits(amount, token.decimals)
  return {
    json: {
      verse,
      path: await describePath(path, catalog),
      position: `${id}`,
      token: token.address,
      amount: formatted,
      from,
      to,
      tx: hash,
      block: Number(receipt.blockNumber),
    },
    text: table([
      ['transferred', `${formatted} ${token.symbol}`],
      ['in', await formatPath(path, catalog)],
      ['from', nameOf(from, isLocal)],
      ['to', nameOf(to, isLocal)],
      ['tx', hash],
    ]),
  }
}
