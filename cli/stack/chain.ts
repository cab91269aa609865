// The chain as a process of the stack: anvil, ended when this process ends or its standard input closes, and its state kept
// in the data folder. Started as `node cli/stack/chain.ts` with MULTIVERSE_DATA and CHAIN_PORT.
//
// Anvil's own --state writes in place, as often as asked, all of a file that grows with every block. Here the state is
// written beside and renamed, after a block with transactions or many without: an idle stack writes next to nothing, and
// a stop at any moment leaves a whole file.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { z } from 'zod'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { anvilBinary } from '../../providers/evm/binary.ts'
import { onStop } from '../../sdk/node/lifecycle.ts'

/** Seconds between blocks when nothing happens; a transaction is mined at once. */
const BLOCK_TIME_S = 2
const POLL_MS = 250
/** At most so many empty blocks are lost when anvil is killed: an indexer takes a deeper rollback for another chain. */
const MAX_UNSAVED_BLOCKS = 25

async function main(): Promise<void> {
  const dataDir = process.env['MULTIVERSE_DATA']
  const port = process.env['CHAIN_PORT']
  if (dataDir === undefined || port === undefined)
    throw new MultiverseError('USAGE', 'MULTIVERSE_DATA and CHAIN_PORT must be set')
  const { chain } = dataPaths(dataDir)
  const statePath = join(chain, 'state.json')
  const cachePath = join(chain, 'cache')
  // What an anvil that was killed left behind is of no use to the next.
  await rm(cachePath, { recursive: true, force: true })
  await mkdir(cachePath, { recursive: true })
  const mining = ['--block-time', `${BLOCK_TIME_S}`, '--mixed-mining']
  // Old states go to disk; without a bound and a place of their own they fill the home folder with gigabytes.
  const caching = ['--cache-path', cachePath, '--max-persisted-states', '64']
  const loaded = existsSync(statePath) ? await prepare(statePath) : undefined
  const loading = loaded === undefined ? [] : ['--load-state', statePath]
  const anvil = spawn(
    anvilBinary(),
    ['--host', '127.0.0.1', '--port', port, '--quiet', ...mining, ...caching, ...loading],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const ended = new Promise<void>((resolve) => anvil.once('close', () => resolve()))
  anvil.once('error', fail)
  if (anvil.pid !== undefined) process.send?.({ pid: anvil.pid })
  const rpc = (method: string, params: unknown[] = []) =>
    request(`http://127.0.0.1:${port}`, method, params)

  const stopping = new AbortController()
  let isReady = false
  let savedBlock = loaded?.head ?? 0
  let seenBlock = savedBlock
  const write = async () => {
    const dump = (await rpc('anvil_dumpState')) as string
    await replace(statePath, await promisify(gunzip)(Buffer.from(dump.slice(2), 'hex')))
  }
  const save = async () => {
    const head = Number(await rpc('eth_blockNumber'))
    // A lower head is a chain rolled back by hand.
    let isDue = head < seenBlock || head - savedBlock >= MAX_UNSAVED_BLOCKS
    for (let number = seenBlock + 1; number <= head && !isDue; number++) {
      const count = await rpc('eth_getBlockTransactionCountByNumber', [`0x${number.toString(16)}`])
      isDue = Number(count) > 0
    }
    if (isDue) {
      await write()
      savedBlock = head
    }
    seenBlock = head
  }

  let saving: Promise<unknown> = Promise.resolve()
  onStop(async () => {
    stopping.abort()
    await saving
    if (isReady) await write()
    anvil.kill('SIGTERM')
    await ended
    await rm(cachePath, { recursive: true, force: true })
  })
  anvil.once('exit', (code, signal) => {
    if (stopping.signal.aborted) return
    fail(new MultiverseError('CHAIN_DIED', `anvil ended with ${signal ?? `code ${code}`}`))
  })
  process.once('exit', () => anvil.kill('SIGKILL'))
  await answering(rpc)
  isReady = true
  while (!stopping.signal.aborted) {
    saving = save().catch((error: unknown) => {
      process.stderr.write(`state not saved: ${oneLine(error)}\n`)
    })
    await saving
    await sleep(POLL_MS)
  }
}

/**
 * Every start of anvil adds a genesis block of its own to the state, and of several it serves any: the chain would not know
 * itself again. The first one is the earliest. Gives the head of the saved chain.
 */
async function prepare(statePath: string): Promise<{ head: number }> {
  const state = stateSchema.parse(JSON.parse(await readFile(statePath, 'utf8')))
  const [genesis, ...others] = state.blocks
    .filter(isGenesis)
    .toSorted((a, b) => Number(a.header.timestamp) - Number(b.header.timestamp))
  if (genesis !== undefined && others.length > 0) {
    const blocks = [genesis, ...state.blocks.filter((block) => !isGenesis(block))]
    await replace(statePath, JSON.stringify({ ...state, blocks }))
  }
  return { head: state.best_block_number }
}

const blockSchema = z.looseObject({
  header: z.looseObject({ number: z.string(), timestamp: z.string() }),
})
type Block = z.infer<typeof blockSchema>
const stateSchema = z.looseObject({
  best_block_number: z.number(),
  blocks: z.array(blockSchema),
})

function isGenesis({ header }: Block): boolean {
  return Number(header.number) === 0
}

/** Writes beside and renames: at every moment there is a whole file. */
async function replace(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(`${path}.tmp`, content)
  await rename(`${path}.tmp`, path)
}

type Rpc = (method: string, params?: unknown[]) => Promise<unknown>

async function answering(rpc: Rpc): Promise<void> {
  for (;;) {
    try {
      await rpc('eth_chainId')
      return
    } catch {
      // Not listening yet; should it never, its end is noticed elsewhere.
      await sleep(20)
    }
  }
}

async function request(url: string, method: string, params: unknown[]): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
  const body = (await response.json()) as { result?: unknown; error?: { message: string } }
  if (body.error !== undefined)
    throw new MultiverseError('RPC_FAILED', `${method}: ${body.error.message}`)
  return body.result
}

function fail(error: unknown): void {
  const code = error instanceof MultiverseError ? error.code : 'CHAIN_FAILED'
  process.stderr.write(`error ${code}: ${oneLine(error)}\n`)
  process.exit(1)
}

main().catch(fail)
