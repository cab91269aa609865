import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hex } from 'viem'
import type { Deployment } from '../sdk/deployment.ts'
import type { ChainReader } from './chain.ts'
import { createPgliteFolder, exists, openPglite, type Pglite, wentDownOpen } from './pglite.ts'
import type { Log } from './service.ts'

/** What decides what the tables hold, beside ponder itself. */
const SOURCES = ['ponder.schema.ts', 'src/index.ts', 'verses.ts', '../sdk/abi.ts', '../sdk/ids.ts']

/** Blocks behind the head from which ponder takes blocks as final on a chain id it does not know. */
const LOCAL_FINALITY = 30n

/**
 * The database schema for this deployment under this code. Another deployment or other code gets another name, because
 * ponder rightly refuses to go on with tables that another program filled.
 */
export async function schemaName(deployment: Deployment): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(deployment))
  hash.update(await readFile(new URL('../../package.json', import.meta.resolve('ponder'))))
  for (const source of SOURCES) hash.update(await readFile(new URL(source, import.meta.url)))
  return `multiverse_${hash.digest('hex').slice(0, 12)}`
}

/**
 * Makes a PGlite folder fit for a start; its caller holds the folder's lock. What is in it is a mirror of the chain, so
 * whatever does not fit (another deployment, other code, a chain that went back or another way, anything the caller has
 * reason to `distrust`, a power cut) is begun anew. A lock that ponder left behind is cleared: waiting until it expires takes ponder 25
 * seconds.
 */
export async function prepareFolder(
  {
    folder,
    schema,
    isLocal,
    distrust,
  }: { folder: string; schema: string; isLocal: boolean; distrust: string | null },
  { chain, log }: { chain: ChainReader; log: Log },
): Promise<'continued' | 'new'> {
  const pglite = join(folder, 'pglite')
  const label = join(folder, 'schema')
  const opened = openMark(folder)
  await mkdir(folder, { recursive: true })
  if (await exists(pglite)) {
    const isOurs = (await readLabel(label)) === schema
    const reason =
      distrust ??
      ((await wentDownOpen(opened)) ? 'the machine went down while it was open' : null) ??
      (isOurs
        ? await reasonToBeginAnew(pglite, schema, chain, isLocal)
        : 'it belongs to another deployment or another version of the indexer')
    if (reason === null) {
      await writeFile(opened, '')
      return 'continued'
    }
    log('ponder.begun-anew', { folder: pglite, reason })
    await rm(pglite, { recursive: true, force: true })
  }
  // The label comes last: a folder without one is never used.
  await rm(label, { force: true })
  await writeFile(opened, '')
  await createPgliteFolder(pglite)
  await writeFile(label, schema)
  return 'new'
}

/** Says that ponder has closed its folder in order. */
export async function markClosed(folder: string): Promise<void> {
  await rm(openMark(folder), { force: true })
}

function openMark(folder: string): string {
  return join(folder, 'open')
}

async function reasonToBeginAnew(
  pglite: string,
  schema: string,
  chain: ChainReader,
  isLocal: boolean,
): Promise<string | null> {
  const database = await openPglite(pglite)
  try {
    const { rows } = await database.query<{ name: string | null }>(
      'SELECT to_regclass($1)::text AS name',
      [`"${schema}"."_ponder_meta"`],
    )
    if (rows[0]?.name == null) return null
    const { rows: apps } = await database.query<{ ready: string }>(
      `UPDATE "${schema}"."_ponder_meta" SET value = jsonb_set(value, '{is_locked}', to_jsonb(0))
       RETURNING value->>'is_ready' AS ready`,
    )
    // On PGlite ponder's backfill is no transaction: what a kill left of one can be anything.
    if (apps[0]?.ready !== '1') return 'its last backfill did not end'
    return await contradiction(pgliteTables(database, schema), chain, isLocal)
  } finally {
    await database.close()
  }
}

/** What ponder's tables say of what it takes as final. */
export type FinalTables = {
  /** Ponder's own checkpoint; null before the first. */
  checkpoint(): Promise<string | null>
  /** The last 64 blocks with events up to a height. */
  blocks(upTo: bigint): Promise<{ number: bigint; hash: Hex }[]>
}

function pgliteTables(database: Pglite, schema: string): FinalTables {
  return {
    async checkpoint() {
      const { rows } = await database.query<{ checkpoint: string }>(
        `SELECT finalized_checkpoint AS checkpoint FROM "${schema}"."_ponder_checkpoint"`,
      )
      return rows[0]?.checkpoint ?? null
    },
    async blocks(upTo) {
      const { rows } = await database.query<{ number: string; hash: Hex }>(
        `SELECT number::text, hash FROM "${schema}"."block" WHERE number <= $1 ORDER BY number DESC LIMIT 64`,
        [upTo.toString()],
      )
      return rows.map(({ number, hash }) => ({ number: BigInt(number), hash }))
    },
  }
}

/** What ponder takes as final and the chain does not have, in words; null when they agree. */
export async function contradiction(
  tables: FinalTables,
  chain: ChainReader,
  isLocal: boolean,
): Promise<string | null> {
  const checkpoint = await tables.checkpoint()
  if (checkpoint === null) return null
  const final = checkpointBlock(checkpoint)
  const head = await chain.head()
  if (head.number < final || (isLocal && final > 0n && head.number < final + LOCAL_FINALITY))
    return `block ${final} was final, and the chain is at ${head.number}`
  const [at] = await chain.headers([final])
  if (at?.timestamp !== checkpointTime(checkpoint))
    return `block ${final} is no longer of ${checkpointTime(checkpoint)}`
  const blocks = await tables.blocks(final)
  const headers = await chain.headers(blocks.map(({ number }) => number))
  const wrong = blocks.find(({ hash }, index) => headers[index]?.hash !== hash)
  return wrong === undefined ? null : `block ${wrong.number} is no longer ${wrong.hash}`
}

/** The block number inside ponder's 75-digit checkpoint: 10 digits of time, 16 of chain id, 16 of block number, … */
export function checkpointBlock(checkpoint: string): bigint {
  return BigInt(checkpoint.slice(26, 42))
}

function checkpointTime(checkpoint: string): bigint {
  return BigInt(checkpoint.slice(0, 10))
}

async function readLabel(path: string): Promise<string | undefined> {
  return (await exists(path)) ? await readFile(path, 'utf8') : undefined
}
