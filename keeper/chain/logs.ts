import { contains } from 'ox/Bloom'
import { type Address, isAddressEqual, type Log as ChainLog } from 'viem'
import type { Log } from '../log.ts'
import { getBlockLogs, getOtherRangeLogs, getRangeLogs, getReceiptLogs, type Rpc } from './rpc.ts'
import type { Header } from './window.ts'

/**
 * The logs of `addresses` in a block, held against what the block itself says: where its bloom filter may have logs of them, they
 * are counted in its receipts, and taken from there if the log query lost some.
 * @throws RPC_FAILED, CHAIN_MOVED (retryable)
 */
export async function readBlockLogs(
  rpc: Rpc,
  addresses: Address[],
  header: Header,
  log: Log,
): Promise<ChainLog[]> {
  const { bloom } = header
  const mayHold = bloom !== undefined && addresses.some((address) => contains(bloom, address))
  if (!mayHold) return getBlockLogs(rpc, addresses, header)
  const [given, receipts] = await Promise.all([
    getBlockLogs(rpc, addresses, header),
    getReceiptLogs(rpc, header),
  ])
  const isWanted = ({ address }: ChainLog) =>
    addresses.some((each) => isAddressEqual(each, address))
  const found = receipts?.filter(isWanted) ?? []
  if (found.length <= given.length) return given
  const endpoint = rpc.endpoints.current()
  log.warn(
    { endpoint, block: header.number, given: given.length, found: found.length },
    'logs.lost',
  )
  rpc.endpoints.distrust('lostLogs')
  return found
}

/**
 * The logs of `addresses` in a range of blocks. There are no headers to hold them against, so where there is another endpoint both
 * are asked, and who found more is believed: logs cannot be made up by one that only forgets.
 * @throws RPC_FAILED (retryable)
 */
export async function readRangeLogs(
  rpc: Rpc,
  addresses: Address[],
  [from, to]: readonly [number, number],
  log: Log,
): Promise<ChainLog[]> {
  const [given, other] = await Promise.all([
    getRangeLogs(rpc, addresses, from, to),
    getOtherRangeLogs(rpc, addresses, from, to),
  ])
  if (other === null || other.length <= given.length) return given
  const endpoint = rpc.endpoints.current()
  log.warn({ endpoint, from, to, given: given.length, found: other.length }, 'logs.lost')
  rpc.endpoints.distrust('lostLogs')
  return other
}
