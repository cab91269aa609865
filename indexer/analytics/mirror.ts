import type { Address, Hex } from 'viem'
import type { ChainReader } from '../chain.ts'
import type { Log } from '../service.ts'
import type { Database, Transaction } from './database.ts'
import { eventsFrom, load, type Loaded, rollBack } from './load.ts'
import type { Source, SourceBlock, SourceView } from './source.ts'
import { MIRRORED } from './tables.ts'
import type { TokenReader } from './tokens.ts'

// The mirror trusts no height, only hashes. What it holds is the events of a list of blocks, each by its hash; everything
// else in the database is computed from them. Each tick first drops the blocks that the chain no longer has, then takes
// over, in whole blocks, what the indexer has and the chain confirms.

export type BlockRef = { number: bigint; hash: Hex }

/** What a tick came to. `current`: the mirror is where the chain was when the tick began, or within the tolerance of it. */
export type Tick =
  | { kind: 'current'; block: BlockRef }
  | { kind: 'behind'; block: BlockRef | null; reason: string }

export type Mirror = {
  /** One round; throws what the chain, the indexer or the database throw, with the database whole as it was. */
  tick(): Promise<Tick>
}

/** What the database holds, so that a tick need not ask it. */
type State = {
  /** The last block whose events are all mirrored. */
  head: BlockRef | null
  /** Height up to which the indexer takes blocks as final: they are not compared with it any more. */
  settled: bigint
  /** Blocks with events above `settled`, ascending. */
  window: BlockRef[]
  /** The last block with events up to `settled`: when it is dead, more may be. */
  anchor: BlockRef | null
}

/** Events in one transaction, unless a single block has more. */
const MAX_EVENTS = 20_000
/**
 * Events that are taken back one by one; of more, all is mirrored anew. DuckDB keeps what a transaction changed in memory, and a whole
 * index of a table once a tenth of it is gone: more than it may take when that table is large, and then it ends the process.
 */
const MAX_TAKEN_BACK = 50_000
/** Blocks asked for in one step of the search for what a deep reorg left. */
const STRIDE = 256

export function createMirror({
  database,
  chain,
  source,
  tokens,
  requireSameChain,
  toleranceS = 0,
  maxTakenBack = MAX_TAKEN_BACK,
  log,
}: {
  database: Database
  chain: ChainReader
  source: Source
  tokens: TokenReader
  /** Throws WRONG_CHAIN when the chain is no longer the deployment's. */
  requireSameChain: () => Promise<void>
  /** Seconds of the chain that the mirror may be behind and still count as level with it. */
  toleranceS?: number
  maxTakenBack?: number
  log: Log
}): Mirror {
  let state: State | null = null
  /** The chain's head under which all local blocks were found canonical. */
  let verified: Hex | null = null
  /** From where the chain left what the indexer took as final, until the indexer has followed it. */
  let leftFinal: bigint | null = null

  const dropFrom = async (from: bigint) => {
    const events = await database.write((tx) => eventsFrom(tx, from))
    if (events > maxTakenBack) {
      await database.renew()
      state = await database.write(readState)
      log('mirror.begun-anew', { from, events })
      return
    }
    state = await database.write(async (tx) => {
      await rollBack(tx, from)
      return readState(tx)
    })
    log('mirror.rolled-back', { from, to: state.head?.number ?? null })
  }

  /** The lowest local block that the chain does not have; null when it has all. */
  const firstDead = async ({ anchor, window }: State): Promise<bigint | null> => {
    const known = anchor === null ? window : [anchor, ...window]
    const dead = known[await firstMismatch(known, chain)]
    if (dead === undefined) return null
    if (dead !== anchor) return dead.number
    await requireSameChain()
    return deepest(dead.number)
  }

  /** Walks down from a dead block to the last canonical one. */
  const deepest = async (dead: bigint): Promise<bigint> => {
    let lowest = dead
    for (;;) {
      const below = await database.write((tx) =>
        readBlocks(tx, 'WHERE number < $1 ORDER BY number DESC LIMIT $2', [lowest, STRIDE]),
      )
      const headers = await chain.headers(below.map(({ number }) => number))
      const alive = below.findIndex(({ hash }, index) => headers[index]?.hash === hash)
      const dying = alive === -1 ? below : below.slice(0, alive)
      lowest = dying.at(-1)?.number ?? lowest
      if (alive !== -1 || below.length < STRIDE) return lowest
    }
  }

  const checkWindow = async (held: State): Promise<State> => {
    const dead = await firstDead(held)
    if (dead !== null) {
      await dropFrom(dead)
      if (dead <= held.settled) {
        leftFinal = dead
        log('mirror.reorg-past-finality', { from: dead, settled: held.settled })
      }
    } else if (held.head !== null) {
      // The head may be a block without events: then it alone can be dead.
      const [header] = await chain.headers([held.head.number])
      if (header?.hash !== held.head.hash) await dropFrom(held.head.number)
    }
    return state!
  }

  const moveHead = async (to: BlockRef & { timestamp: bigint }, settled: bigint) => {
    state = await database.write(async (tx) => {
      await writeHead(tx, to)
      await tx.run('UPDATE mirror SET settled = $1', [settled])
      return readState(tx)
    })
  }

  const round = async (): Promise<Tick> => {
    const top = await chain.head()
    state ??= await database.write(readState)
    if (top.hash !== verified && (top.parentHash !== verified || verified === null))
      state = await checkWindow(state)
    verified = top.hash
    if (state.head?.hash === top.hash) return { kind: 'current', block: state.head }
    const behind = (reason: string): Tick => ({
      kind: 'behind',
      block: state?.head ?? null,
      reason:
        leftFinal === null
          ? reason
          : `REORG_PAST_FINALITY: the chain went another way from block ${leftFinal}, which was final: ${reason}`,
    })

    const view = await source.view(state.settled)
    const through = reach(view)
    if (through === null) return behind('the indexer has no checkpoint yet')
    const theirs = view.blocks.filter(({ number }) => number <= through.number)
    const ours = state.window.filter(({ number }) => number <= through.number)
    const same = commonLength(ours, theirs)
    const fresh = theirs.slice(same)
    const odd = ours[same]

    const numbers = [through, ...fresh, ...(odd === undefined ? [] : [odd])]
    const [at, ...headers] = await chain.headers(numbers.map(({ number }) => number))
    if (at == null) return behind(`the chain has no block ${through.number}`)
    if (through.hash !== null && at.hash !== through.hash)
      return behind(`the indexer follows another fork at block ${through.number}`)
    const stale = fresh.find(({ hash }, index) => headers[index]?.hash !== hash)
    if (stale !== undefined)
      return behind(`the indexer serves block ${stale.number} of another fork`)
    if (odd !== undefined) {
      if (headers.at(-1)?.hash === odd.hash) return behind(`the indexer misses block ${odd.number}`)
      await dropFrom(odd.number)
      return behind(`block ${odd.number} was replaced`)
    }

    for (const chunk of chunks(fresh)) {
      const loaded = await fetchRows(source, tokens, chunk)
      if (loaded === null) return behind('the indexer changed while it was read')
      state = await database.write(async (tx) => {
        await load(tx, loaded, log)
        await writeHead(tx, chunk.at(-1)!)
        return readState(tx)
      })
    }
    const final = view.finalized! < at.number ? view.finalized! : at.number
    const settled = final > state.settled ? final : state.settled
    if (state.head === null || at.number > state.head.number) await moveHead(at, settled)
    if (fresh.length > 0) {
      // What was loaded was compared with the chain block by block: was it one chain all the while?
      const now = await chain.head()
      if (now.hash !== top.hash && now.parentHash !== top.hash) verified = null
    }
    const { head } = state
    const isLevel =
      head !== null &&
      (head.number >= top.number ||
        (head.number === through.number && top.timestamp - at.timestamp <= toleranceS))
    if (!isLevel) return behind(`block ${head?.number ?? 'none'} of ${top.number}`)
    leftFinal = null
    return { kind: 'current', block: head }
  }

  return {
    async tick() {
      try {
        return await round()
      } catch (error) {
        state = null
        verified = null
        throw error
      }
    },
  }
}

/**
 * How far the indexer's view reaches; null when it has none. A null hash: the indexer takes that height as final. A head
 * with events but without its row among the blocks is not written to the end.
 */
function reach(view: SourceView): { number: bigint; hash: Hex | null } | null {
  const { head, finalized, blocks, isCut } = view
  if (finalized === null) return null
  const last = blocks.at(-1)
  if (isCut && last !== undefined) return last
  if (head === null || head.number < finalized) return { number: finalized, hash: null }
  const isWhole = head.events === 0 || blocks.some(({ hash }) => hash === head.hash)
  return isWhole ? head : { number: finalized, hash: null }
}

/** How many blocks two ascending lists have in common before they part. */
function commonLength(ours: readonly BlockRef[], theirs: readonly BlockRef[]): number {
  const part = ours.findIndex(
    ({ number, hash }, index) => theirs[index]?.number !== number || theirs[index]?.hash !== hash,
  )
  return part === -1 ? ours.length : part
}

async function firstMismatch(known: readonly BlockRef[], chain: ChainReader): Promise<number> {
  const headers = await chain.headers(known.map(({ number }) => number))
  return known.findIndex(({ hash }, index) => headers[index]?.hash !== hash)
}

function chunks(blocks: readonly SourceBlock[]): SourceBlock[][] {
  const all: SourceBlock[][] = []
  let events = Infinity
  for (const block of blocks) {
    if (events + block.events > MAX_EVENTS) {
      all.push([])
      events = 0
    }
    all.at(-1)!.push(block)
    events += block.events
  }
  return all
}

/**
 * The rows of some blocks; null when they are not all there, or are another fork's: the indexer was writing while it was
 * read. Rows are only ever inserted, each names its block's hash, and each block says how many there are.
 */
async function fetchRows(
  source: Source,
  tokens: TokenReader,
  blocks: SourceBlock[],
): Promise<Loaded | null> {
  const from = blocks[0]!.number
  const to = blocks.at(-1)!.number
  // Every statement costs the indexer some milliseconds, and few tables have rows of a block.
  const names = MIRRORED.map((table) => table.source)
  const filled = await source.filled(names, from, to)
  const tables = await Promise.all(
    MIRRORED.filter((table) => filled.has(table.source)).map(async (table) => ({
      table,
      rows: await source.rows(table.source, from, to),
    })),
  )
  const missing = new Map<unknown, number>(blocks.map(({ hash, rows }) => [hash, rows]))
  const named = new Set<Address>()
  for (const { table, rows } of tables)
    for (const row of rows) {
      const hash = row['block_hash']
      missing.set(hash, (missing.get(hash) ?? 0) - 1)
      if (table.source === 'position') named.add(row['token'] as Address)
    }
  if ([...missing.values()].some((count) => count !== 0)) return null
  return {
    from,
    to,
    blocks,
    tables: tables.filter(({ rows }) => rows.length > 0),
    tokens: await Promise.all([...named].map((token) => tokens.read(token))),
  }
}

async function writeHead(
  tx: Transaction,
  { number, hash, timestamp }: BlockRef & { timestamp: bigint },
): Promise<void> {
  await tx.run(
    'UPDATE mirror SET head_number = $1, head_hash = $2, head_timestamp = make_timestamp($3::BIGINT * 1000000)',
    [number, hash, timestamp],
  )
}

async function readState(tx: Transaction): Promise<State> {
  const [row] = await tx.rows<{
    head_number: string | null
    head_hash: Hex | null
    settled: string
  }>('SELECT head_number, head_hash, settled FROM mirror')
  const settled = BigInt(row!.settled)
  const window = await readBlocks(tx, 'WHERE number > $1 ORDER BY number', [settled])
  const [anchor] = await readBlocks(tx, 'WHERE number <= $1 ORDER BY number DESC LIMIT 1', [
    settled,
  ])
  const head =
    row!.head_number === null ? null : { number: BigInt(row!.head_number), hash: row!.head_hash! }
  return { head, settled, window, anchor: anchor ?? null }
}

async function readBlocks(
  tx: Transaction,
  where: string,
  values: (bigint | number)[],
): Promise<BlockRef[]> {
  const rows = await tx.rows<{ number: string; hash: Hex }>(
    `SELECT number, hash FROM blocks ${where}`,
    values,
  )
  return rows.map(({ number, hash }) => ({ number: BigInt(number), hash }))
}
