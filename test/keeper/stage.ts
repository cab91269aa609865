import { afterAll } from 'vitest'
import { createLog, type Log } from '../../keeper/log.ts'
import type { Database } from '../../keeper/store/database.ts'
import { type ChainOptions, type LocalChain, startChain } from '../helpers/chain.ts'
import { compiledCode } from '../helpers/shared.ts'
import { type KeeperProcess, spawnKeeper } from './child.ts'
import { createFolders, type Folders, fund, startTestKeeper, type TestKeeper } from './world.ts'

/** What a file of tests stands on: chains, data folders and keepers. All of it ends with the file. */
export type Stage = {
  /** Starts a chain whose user has money. */
  chain: (options?: ChainOptions) => Promise<LocalChain>
  /** Makes a data folder for a deployment, with empty books. */
  folder: (chain: Pick<LocalChain, 'deployment'>) => Promise<string>
  /** Opens empty books that no keeper works on. */
  books: (log?: Log) => Promise<Database>
  /** Starts a keeper in this process, on a folder of its own unless one is named. Its stop is idempotent. */
  keeper: (
    chain: LocalChain,
    env?: Record<string, string>,
    options?: { dataDir?: string } & Parameters<typeof startTestKeeper>[3],
  ) => Promise<TestKeeper>
  /** Starts a keeper in a process of its own. */
  spawn: (env: Record<string, string>, options?: Parameters<typeof spawnKeeper>[2]) => KeeperProcess
  /** Kills all processes that were spawned. */
  kill: () => Promise<void>
}

/** A verifier's second process takes longer to start than it saves a keeper of few partitions. */
export const FEW_PARTITIONS = { KEEPER_VERIFIERS: '1' }

export function createStage(): Stage {
  const chains: LocalChain[] = []
  const keepers = new Set<TestKeeper['stop']>()
  const processes: KeeperProcess[] = []
  const books: Database[] = []
  let folders: Promise<Folders> | null = null

  const making = () => (folders ??= createFolders())
  const folder: Stage['folder'] = async (chain) => (await making()).create(chain)

  async function kill(): Promise<void> {
    for (const keeper of processes) keeper.signal('SIGKILL')
    for (const keeper of processes.splice(0)) await keeper.ended
  }

  afterAll(async () => {
    await kill()
    for (const stop of keepers) await stop()
    for (const db of books) await db.close()
    for (const chain of chains) await chain.stop()
    await (await folders)?.remove()
  })

  return {
    folder,
    kill,
    async books(log = createLog('silent')) {
      const db = await (await making()).open(log)
      books.push(db)
      return db
    },
    async chain(options) {
      const chain = await startChain(options)
      chains.push(chain)
      await fund(chain)
      return chain
    },
    async keeper(chain, env, { dataDir, ...options } = {}) {
      const given = { ...FEW_PARTITIONS, ...env }
      const keeper = await startTestKeeper(chain, dataDir ?? (await folder(chain)), given, options)
      const stop = async () => {
        if (keepers.delete(stop)) await keeper.stop()
      }
      keepers.add(stop)
      return { ...keeper, stop }
    },
    spawn(env, options) {
      const keeper = spawnKeeper({ ...FEW_PARTITIONS, ...env }, compiledCode(), options)
      processes.push(keeper)
      return keeper
    },
  }
}
