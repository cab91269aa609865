import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Deployment } from '../../sdk/deployment.ts'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import type { Log } from '../service.ts'
import { type Database, openDatabase } from './database.ts'
import { copyJournals } from './kept.ts'
import type { Mirror } from './mirror.ts'

// The database made anew beside the one that is served, and put in its place when it is level with the chain: nobody ever
// reads a part of it. The chain comes from the indexer again, the journals from the entries that were kept: the keeper that
// wrote them may be gone.

/** How a rebuild stands. Times in milliseconds. */
export type RebuildState =
  | { kind: 'none' }
  | { kind: 'running'; block: number | null; ms: number }
  | { kind: 'done'; block: number; ms: number }
  | { kind: 'failed'; code: string; message: string }

export type Rebuild = {
  /** @throws REBUILD_RUNNING */
  start(): void
  state(): RebuildState
  /** Gives up one that runs; the database stays as it was. */
  stop(): Promise<void>
}

/** Folder of the database in the making. */
const BESIDE = 'rebuild'
const PAUSE_MS = 100

export function createRebuild({
  folder,
  deployment,
  database,
  createMirror,
  exclusively,
  log,
}: {
  folder: string
  deployment: Deployment
  database: Database
  createMirror: (fresh: Database) => Mirror
  /** Runs `work` while nothing writes into the database. */
  exclusively: (work: () => Promise<void>) => Promise<void>
  log: Log
}): Rebuild {
  const beside = join(folder, BESIDE)
  const stopping = new AbortController()
  let state: RebuildState = { kind: 'none' }
  let running: Promise<void> = Promise.resolve()

  const run = async (): Promise<void> => {
    const from = performance.now()
    const elapsed = () => Math.round(performance.now() - from)
    state = { kind: 'running', block: null, ms: 0 }
    log('rebuild.started')
    try {
      await rm(beside, { recursive: true, force: true })
      const fresh = await openDatabase(beside, deployment)
      let block = 0
      let isOpen = true
      try {
        const mirror = createMirror(fresh)
        for (;;) {
          stopping.signal.throwIfAborted()
          const tick = await mirror.tick()
          const reached = tick.block === null ? null : Number(tick.block.number)
          state = { kind: 'running', block: reached, ms: elapsed() }
          if (tick.kind === 'current') {
            block = reached ?? 0
            break
          }
          await sleep(PAUSE_MS)
        }
        await exclusively(async () => {
          await copyJournals(database, fresh)
          await fresh.close()
          isOpen = false
          await database.replace(beside)
        })
      } finally {
        if (isOpen) await fresh.close()
      }
      state = { kind: 'done', block, ms: elapsed() }
      log('rebuild.done', { block, ms: elapsed() })
    } catch (error) {
      const code = isMultiverseError(error) ? error.code : 'INTERNAL'
      state = { kind: 'failed', code, message: oneLine(error) }
      log('rebuild.failed', { code, message: oneLine(error) })
    } finally {
      await rm(beside, { recursive: true, force: true })
    }
  }

  return {
    start() {
      if (state.kind === 'running')
        throw new MultiverseError('REBUILD_RUNNING', 'the database is being rebuilt already')
      running = run()
    },
    state: () => state,
    async stop() {
      stopping.abort(new MultiverseError('STOPPED', 'the analytics were stopped'))
      await running
    },
  }
}
