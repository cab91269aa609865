import { type Hex, hexToNumber, isHex, keccak256, numberToHex } from 'viem'

// What a bad JSON-RPC endpoint does to single calls, between a client and a real node. No server here: see faultyRpc.ts.

/** A call and an answer of JSON-RPC 2.0, as far as faults look at them. */
export type RpcCall = { jsonrpc: '2.0'; id?: unknown; method: string; params?: unknown[] }
export type RpcAnswer = { result: unknown } | { error: { code: number; message: string } }

/** What is wrong with the endpoint. All of it may change between two calls. */
export type Faults = {
  /** The endpoint is this many blocks behind its chain, in every answer. */
  lagBlocks: number
  /** Nothing after this block ever happened. */
  frozenAt: number | null
  /** The newest block is one this far above the real one, and nobody else knows it. */
  ghostHead: number
  /** Log queries find nothing, or only every other log. */
  dropLogs: 'none' | 'all' | 'half'
  /** Log queries over more blocks than that are refused. */
  maxLogRange: number | null
  /** Methods that fail; `*` stands for all. With `times`, only so often. */
  errors: Record<string, { code: number; message: string; times?: number }>
  /** What it says whatever is so. */
  answers: Record<string, unknown>
  /** Methods that the endpoint does not know. */
  unknownMethods: readonly string[]
  /** Sent transactions are acknowledged and go nowhere. */
  swallowSends: boolean
}

export const NO_FAULTS: Faults = {
  lagBlocks: 0,
  frozenAt: null,
  ghostHead: 0,
  dropLogs: 'none',
  maxLogRange: null,
  errors: {},
  answers: {},
  unknownMethods: [],
  swallowSends: false,
}

/** Asks the real node. */
export type Upstream = (method: string, params: unknown[]) => Promise<RpcAnswer>

type RpcBlock = { number: Hex; hash: Hex; parentHash: Hex }
type Filter = { blockHash?: Hex; fromBlock?: string; toBlock?: string }

/** Where a method takes its block, by number or tag. */
const BLOCK_PARAMETER: Record<string, number> = {
  eth_getBlockByNumber: 0,
  eth_getBlockReceipts: 0,
  eth_getBalance: 1,
  eth_getCode: 1,
  eth_getTransactionCount: 1,
  eth_call: 1,
  eth_estimateGas: 1,
}
const HEAD_TAGS = ['latest', 'pending', 'safe', 'finalized']
const UNKNOWN_BLOCK: RpcAnswer = { error: { code: -32_000, message: 'unknown block' } }

/** Answers a call the way an endpoint with these faults does. */
export async function faultyAnswer(
  faults: Faults,
  { method, params = [] }: RpcCall,
  upstream: Upstream,
): Promise<RpcAnswer> {
  if (faults.unknownMethods.includes(method))
    return { error: { code: -32_601, message: `the method ${method} does not exist` } }
  const fault = faults.errors[method] ?? faults.errors['*']
  if (fault && fault.times !== 0) {
    if (fault.times !== undefined) fault.times--
    return { error: { code: fault.code, message: fault.message } }
  }
  if (Object.hasOwn(faults.answers, method)) return { result: faults.answers[method] }
  const asked = method === 'eth_getLogs' ? (params[0] as Filter) : null
  if (asked && faults.maxLogRange !== null && rangeOf(asked) > faults.maxLogRange)
    return {
      error: { code: -32_005, message: `block range is too large, max ${faults.maxLogRange}` },
    }
  if (faults.swallowSends && method === 'eth_sendRawTransaction')
    return { result: keccak256(params[0] as Hex) }

  const past = await ceilingOf(faults, upstream)
  const answer =
    past === null ? await upstream(method, params) : await asOf(past, method, params, upstream)
  const haunted = faults.ghostHead > 0 ? await haunt(faults, method, params, answer) : answer
  return faults.dropLogs === 'none' || method !== 'eth_getLogs'
    ? haunted
    : dropLogs(haunted, faults.dropLogs)
}

/** The newest block that the endpoint admits to; null when it is the real one. */
export async function ceilingOf(faults: Faults, upstream: Upstream): Promise<number | null> {
  if (faults.lagBlocks === 0 && faults.frozenAt === null) return null
  const newest = hexToNumber(resultOf(await upstream('eth_blockNumber', [])) as Hex)
  return Math.max(0, Math.min(newest - faults.lagBlocks, faults.frozenAt ?? newest))
}

/** The answer of a node whose newest block is `head`. */
async function asOf(
  head: number,
  method: string,
  params: unknown[],
  upstream: Upstream,
): Promise<RpcAnswer> {
  if (method === 'eth_blockNumber') return { result: numberToHex(head) }
  if (method === 'eth_getLogs') return logsAsOf(head, params[0] as Filter, upstream)
  const place = BLOCK_PARAMETER[method]
  if (place !== undefined) {
    const asked = params[place] ?? 'latest'
    const known = [...params]
    // Past what most methods take, a parameter left out means the newest block.
    while (known.length < place) known.push(null)
    if (HEAD_TAGS.includes(asked as string)) known[place] = numberToHex(head)
    else if (isHex(asked) && asked.length < 66 && hexToNumber(asked) > head)
      return method.startsWith('eth_getBlock') ? { result: null } : UNKNOWN_BLOCK
    return upstream(method, known)
  }
  const answer = await upstream(method, params)
  // Blocks, transactions and receipts of blocks that it does not have yet.
  const found = 'result' in answer ? (answer.result as Record<string, Hex | null> | null) : null
  const block =
    found && typeof found === 'object' ? (found['blockNumber'] ?? found['number']) : null
  return block && hexToNumber(block) > head ? { result: null } : answer
}

async function logsAsOf(head: number, filter: Filter, upstream: Upstream): Promise<RpcAnswer> {
  if (filter.blockHash !== undefined) {
    const answer = await upstream('eth_getBlockByHash', [filter.blockHash, false])
    const block = resultOf(answer) as RpcBlock | null
    if (block === null || hexToNumber(block.number) > head) return UNKNOWN_BLOCK
    return upstream('eth_getLogs', [filter])
  }
  const bounded = (tag: string | undefined) =>
    isHex(tag) ? numberToHex(Math.min(head, hexToNumber(tag))) : (tag ?? numberToHex(head))
  if (isHex(filter.fromBlock) && hexToNumber(filter.fromBlock) > head) return { result: [] }
  const toBlock = HEAD_TAGS.includes(filter.toBlock ?? 'latest')
    ? numberToHex(head)
    : bounded(filter.toBlock)
  return upstream('eth_getLogs', [{ ...filter, toBlock }])
}

/** Puts a block of its own on top of what is real. */
async function haunt(
  { ghostHead }: Faults,
  method: string,
  params: unknown[],
  answer: RpcAnswer,
): Promise<RpcAnswer> {
  if (!('result' in answer)) return answer
  if (method === 'eth_blockNumber')
    return { result: numberToHex(hexToNumber(answer.result as Hex) + ghostHead) }
  if (method !== 'eth_getBlockByNumber' || !HEAD_TAGS.includes(params[0] as string)) return answer
  const real = answer.result as RpcBlock
  const number = hexToNumber(real.number) + ghostHead
  const parentHash = ghostHead === 1 ? real.hash : ghostHash(number - 1)
  return {
    result: { ...real, number: numberToHex(number), hash: ghostHash(number), parentHash },
  }
}

const ghostHash = (number: number) => keccak256(numberToHex(number, { size: 32 }))

function dropLogs(answer: RpcAnswer, which: 'all' | 'half'): RpcAnswer {
  if (!('result' in answer)) return answer
  const logs = answer.result as unknown[]
  return { result: which === 'all' ? [] : logs.filter((_, index) => index % 2 === 1) }
}

/** Blocks that a log query is over; 1 for one by hash or up to a tag. */
function rangeOf({ fromBlock, toBlock }: Filter): number {
  return isHex(fromBlock) && isHex(toBlock) ? hexToNumber(toBlock) - hexToNumber(fromBlock) + 1 : 1
}

/** @throws Error when the node answered with one */
export function resultOf(answer: RpcAnswer): unknown {
  if ('error' in answer) throw new Error(answer.error.message)
  return answer.result
}
