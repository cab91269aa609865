import { type Address, isAddressEqual } from 'viem'
import { getContractEvents } from 'viem/actions'
import { multiverseAbi } from '../../sdk/abi.ts'
import { contractError, setRedeemer } from '../../sdk/actions.ts'
import type { RedeemerOutput, RedeemersOutput } from '../../sdk/output.ts'
import { type CommonOptions, type Context, openContext } from '../context.ts'
import { type Result, table } from '../output.ts'
import { nameOf } from '../wallets.ts'

export type RedeemersOptions = CommonOptions & { owner?: string }

/** Allows, or no longer allows, an address to pull up for the wallet, always to the wallet. */
export async function redeemerVerb(
  text: string,
  allowed: boolean,
  options: CommonOptions,
): Promise<Result<RedeemerOutput>> {
  const context = await openContext(options)
  const { deployment, isLocal } = context
  const redeemer = context.address(text)
  const wallet = await context.wallet()
  const owner = wallet.account.address
  const { multiverse } = deployment.addresses
  const { hash, receipt } = await setRedeemer(wallet, { multiverse, redeemer, allowed })
  return {
    json: { owner, redeemer, allowed, tx: hash, block: Number(receipt.blockNumber) },
    text: table([
      ['redeemer', nameOf(redeemer, isLocal)],
      [allowed ? 'may pull up for' : 'may no longer pull up for', nameOf(owner, isLocal)],
      ['tx', hash],
    ]),
  }
}

/** Who may pull up for an owner. */
export async function redeemersVerb(options: RedeemersOptions): Promise<Result<RedeemersOutput>> {
  const context = await openContext(options)
  const owner =
    options.owner === undefined ? await context.walletAddress() : context.address(options.owner)
  const redeemers = await readRedeemers(context, owner)
  const who = nameOf(owner, context.isLocal)
  return {
    json: { owner, redeemers },
    text:
      redeemers.length === 0
        ? `nobody may pull up for ${who}: allow one with \`multiverse redeemer set\``
        : [
            `these may pull up for ${who}, to ${who}`,
            ...redeemers.map((each) => nameOf(each, context.isLocal)),
          ].join('\n'),
  }
}

async function readRedeemers({ client, deployment }: Context, owner: Address): Promise<Address[]> {
  try {
    const logs = await getContractEvents(client, {
      address: deployment.addresses.multiverse,
      abi: multiverseAbi,
      eventName: 'RedeemerSet',
      args: { owner },
      fromBlock: BigInt(deployment.startBlock),
      strict: true,
    })
    return logs.reduce<Address[]>((allowed, { args }) => {
      const others = allowed.filter((each) => !isAddressEqual(each, args.redeemer))
      return args.allowed ? [...others, args.redeemer] : others
    }, [])
  } catch (error) {
    throw contractError(error)
  }
}
