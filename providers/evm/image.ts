import { hash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Hex } from 'viem'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import type { Origin } from '../provider.ts'

/** A world's whole state: immutable, and all there is of it between runs. */
export type Image = {
  /** SHA-256 of the state, the same for equal states. */
  id: Hex
  /**
   * The newest block's own state root, which by EIP-2935 covers all blocks before it. Of a world that starts from another
   * chain, whose accounts it has not all, SHA-256 of that chain's block, the newest block and the accounts it knows.
   */
  stateRoot: Hex
  origin: Origin | null
  /** Contracts by name. */
  names: Record<string, Hex>
  /** What anvil loads: JSON, gzipped. */
  state: Buffer
}

type Dump = {
  accounts: Record<string, unknown>
  blocks: { header: { number: Hex; stateRoot: Hex } }[]
  [key: string]: unknown
}
type Stored = { version: 1; origin: Origin | null; names: Record<string, Hex>; state: Dump }

/** As many blocks are kept as the EVM can ask the hashes of. */
const MAX_BLOCKS = 256

/** @param dumped what `anvil_dumpState` gave */
export function toImage(dumped: Hex, origin: Origin | null, names: Record<string, Hex>): Image {
  const dump = JSON.parse(unzip(Buffer.from(dumped.slice(2), 'hex'))) as Dump
  return imageOf({ version: 1, origin, names, state: canonical(dump) })
}

function imageOf(stored: Stored): Image {
  const { origin, names, state } = stored
  return {
    id: idOf(stored),
    stateRoot: rootOf(stored),
    origin,
    names,
    state: gzipSync(JSON.stringify(state), { level: 1 }),
  }
}

/** The snapshot file of an image. */
export function encodeImage({ origin, names, state }: Image): Buffer {
  const stored: Stored = { version: 1, origin, names, state: JSON.parse(unzip(state)) as Dump }
  return gzipSync(JSON.stringify(stored), { level: 1 })
}

/**
 * The image in a snapshot file.
 * @throws SNAPSHOT_CORRUPT when it holds another state than the id's
 */
export function decodeImage(file: Buffer, id: string): Image {
  const corrupt = (cause?: unknown) =>
    new MultiverseError('SNAPSHOT_CORRUPT', `snapshot ${id} is corrupt`, { cause })
  try {
    const image = imageOf(JSON.parse(unzip(file)) as Stored)
    if (image.id !== id) throw corrupt()
    return image
  } catch (error) {
    throw isMultiverseError(error) ? error : corrupt(error)
  }
}

/** Transactions are history, and come in no order; only blocks matter to the EVM. */
function canonical(dump: Dump): Dump {
  const number = (block: Dump['blocks'][number]) => Number(block.header.number)
  const blocks = dump.blocks
    .toSorted((one, other) => number(other) - number(one))
    .slice(0, MAX_BLOCKS)
    .map((block) => ({ ...block, transactions: [] }))
  return sorted({ ...dump, blocks, transactions: [] }) as Dump
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  )
}

/** Where the other chain is found is no part of the state. */
function idOf({ version, origin, names, state }: Stored): Hex {
  const place = origin === null ? null : { number: `${origin.blockNumber}`, hash: origin.blockHash }
  return sha256(JSON.stringify(sorted({ version, origin: place, names, state })))
}

function rootOf({ origin, state }: Stored): Hex {
  const { accounts, blocks } = state
  const [newest] = blocks
  if (newest === undefined) throw new MultiverseError('PROVIDER_FAILED', 'a state without blocks')
  if (origin === null) return newest.header.stateRoot
  return sha256(JSON.stringify([origin.blockHash, newest.header, accounts]))
}

function sha256(text: string): Hex {
  return `0x${hash('sha256', text, 'hex')}`
}

function unzip(bytes: Buffer): string {
  return gunzipSync(bytes, { maxOutputLength: 2 ** 30 }).toString()
}
