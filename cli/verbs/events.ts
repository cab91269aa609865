import { isAddressEqual } from 'viem'
import type { EventOutput } from '../../sdk/output.ts'
import { type CommonOptions, openContext } from '../context.ts'
import { followEvents } from '../follow.ts'
import type { HistoryLog } from '../history.ts'
import { outputWidth, paint, plain, type Result, wrap } from '../output.ts'

export type EventsOptions = CommonOptions & { follow?: boolean; fromBlock?: number }

/** Longer values are cut in the text; JSON has them whole. */
const MAX_SHOWN = 80

/**
 * The events of both contracts in order; with `follow` on and on, until the process ends.
 * @param put takes each event as it comes
 */
export async function eventsVerb(
  options: EventsOptions,
  put: (event: Result<EventOutput>) => Promise<void>,
): Promise<void> {
  const context = await openContext(options)
  const { multiverse } = context.deployment.addresses
  const following = followEvents(context, {
    fromBlock: BigInt(options.fromBlock ?? context.deployment.startBlock),
    isEndless: options.follow === true,
  })
  for await (const { log, isRemoved } of following) {
    const contract = isAddressEqual(log.address, multiverse) ? 'multiverse' : 'worlds'
    const json = describeEvent(log, contract, isRemoved)
    await put({ json, text: showEvent(json) })
  }
}

function describeEvent(
  log: HistoryLog,
  contract: EventOutput['contract'],
  isRemoved: boolean,
): EventOutput {
  return {
    contract,
    event: log.eventName,
    block: Number(log.blockNumber),
    blockHash: log.blockHash,
    tx: log.transactionHash,
    logIndex: log.logIndex,
    removed: isRemoved,
    // bigint has no JSON of its own: decimal strings.
    args: JSON.parse(
      JSON.stringify(log.args, (_, value: unknown) =>
        typeof value === 'bigint' ? `${value}` : value,
      ),
    ) as EventOutput['args'],
  }
}

/** A spec's text may be long: people are told how long. */
function cut(value: string): string {
  const text = plain(value)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}… (${text.length} characters)` : text
}

function showEvent({ block, event, args, removed }: EventOutput): string {
  const values = Object.entries(args).map(
    ([name, value]) => `${name}=${cut(typeof value === 'string' ? value : JSON.stringify(value))}`,
  )
  const mark = removed ? `${paint('red', 'removed')} ` : ''
  return wrap(`${block}  ${mark}${paint('bold', event)} ${values.join(' ')}`, outputWidth(), 2)
}
