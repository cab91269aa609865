import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, type ChainOptions, startChain } from '../../test/helpers/chain.ts'
import { type KeeperProcess, spawnKeeper } from '../../test/keeper/child.ts'
import {
  createFolders,
  fund,
  type KeeperClient,
  keeperClient,
  keeperEnv,
} from '../../test/keeper/world.ts'
import { createLoad, type Load } from '../../test/keeper/load.ts'

/** A keeper in a process of its own, on a chain of its own. */
export type Scene = {
  chain: LocalChain
  load: Load
  dataDir: string
  client: KeeperClient
  /** Starts the keeper, or another one by its entry point, on the scene's folder and waits until it works. */
  start: (env?: Record<string, string>, main?: string) => Promise<KeeperProcess>
  /** Ends it in order. */
  stop: () => Promise<void>
}

/** Runs `work` in a scene and takes it down after it. */
export async function inScene<T>(
  work: (scene: Scene) => Promise<T>,
  chainOptions: ChainOptions = {},
): Promise<T> {
  const cache = await mkdtemp(join(tmpdir(), 'bench-keeper-'))
  const [chain, folders] = await Promise.all([startChain(chainOptions), createFolders()])
  let keeper: KeeperProcess | null = null
  const stop = async () => {
    keeper?.signal('SIGTERM')
    await keeper?.ended
    keeper = null
  }
  try {
    await fund(chain)
    const dataDir = await folders.create(chain)
    return await work({
      chain,
      load: createLoad(chain),
      dataDir,
      client: keeperClient(dataDir),
      stop,
      async start(env = {}, main) {
        await stop()
        keeper = spawnKeeper(keeperEnv(chain, dataDir, env), cache, {
          isLasting: true,
          ...(main !== undefined && { main }),
        })
        await keeper.says('keeper.ready')
        return keeper
      },
    })
  } finally {
    await stop()
    await chain.stop()
    await folders.remove()
    await rm(cache, { recursive: true, force: true })
  }
}

/** Resident memory of a process in MiB; null where the system does not tell. */
export async function residentMib(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  return kib === undefined ? null : Number(kib) / 1024
}

/** Waits until `look` says so, looking again every few milliseconds. */
export async function until(what: string, look: () => boolean, timeoutMs = 120_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what} did not come to pass`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** What a keeper says of the partitions that it has reported, in order. */
export function reports({ lines }: KeeperProcess): { blockToReportMs: number }[] {
  return lines
    .filter(({ msg }) => msg === 'partition.reported')
    .map((line) => ({ blockToReportMs: Number(line['blockToReportMs']) }))
}
