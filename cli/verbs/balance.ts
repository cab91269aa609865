import { type Address, formatUnits } from 'viem'
import { contractError, getBalance } from '../../sdk/actions.ts'
import { type Path, ROOT, verseId } from '../../sdk/ids.ts'
import type { BalanceOutput } from '../../sdk/output.ts'
import { type CommonOptions, type Context, openContext, type TokenInfo } from '../context.ts'
import { verseState } from '../ledger.ts'
import { plain, type Result, table } from '../output.ts'
import { formatPath, resolvePath } from '../path.ts'
import { nameOf } from '../wallets.ts'
import { describePath } from './describe.ts'

export type BalanceOptions = CommonOptions & { owner?: string; verse?: string; token?: string }

/** What an owner has of a token, in one verse or in every one that holds something. */
export async function balanceVerb(options: BalanceOptions): Promise<Result<BalanceOutput>> {
  const context = await openContext(options)
  const { catalog, isLocal } = context
  const owner =
    options.owner === undefined ? await context.walletAddress() : context.address(options.owner)
  const token = await context.token(options.token)
  const paths =
    options.verse === undefined
      ? await heldPaths(context, token.address)
      : [await resolvePath(options.verse, catalog)]
  const holdings = await Promise.all(paths.map((path) => holding(context, owner, token, path)))
  const shown = holdings.filter(
    ({ path, amount }) => amount > 0n || path.length === 0 || options.verse !== undefined,
  )
  const balances = await Promise.all(
    shown.map(async ({ path, amount, state }) => ({
      verse: path.length === 0 ? ROOT : verseId(path),
      name: await formatPath(path, catalog),
      path: await describePath(path, catalog),
      amount: formatUnits(amount, token.decimals),
      live: state !== 'evaporated',
      state,
    })),
  )
  return {
    json: { owner, token: token.address, symbol: token.symbol, balances },
    text: `${nameOf(owner, isLocal)} has\n${table(
      balances.map(({ name, amount, live }) => [
        amount,
        `${plain(token.symbol)} in ${name}${live ? '' : ' (evaporated)'}`,
      ]),
    )}`,
  }
}

/** ROOT and every verse the token ever was in. */
async function heldPaths({ catalog }: Context, token: Address): Promise<Path[]> {
  const known = await catalog.verses()
  const paths = known.filter((each) => each.token.toLowerCase() === token.toLowerCase())
  return [[], ...paths.map(({ path }) => path)]
}

async function holding(context: Context, owner: Address, token: TokenInfo, path: Path) {
  const { multiverse } = context.deployment.addresses
  try {
    const [amount, state] = await Promise.all([
      getBalance(context.client, {
        multiverse,
        verse: verseId(path),
        token: token.address,
        owner,
      }),
      verseState(context, path),
    ])
    return { path, amount, state }
  } catch (error) {
    throw contractError(error)
  }
}
