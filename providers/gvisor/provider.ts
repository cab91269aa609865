import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import type { EngineContext, OpenEngine } from '../host/engine.ts'
import { createHostedProvider } from '../host/provider.ts'
import { type Belongs, openSession } from '../host/session.ts'
import type { WorldRuntimeProvider } from '../provider.ts'
import { detectGvisor, type DetectOptions } from './engine.ts'
import { createSandboxFactory } from './factory.ts'
import type { Image } from './image.ts'
import { defaultCacheDir, openRootFs } from './rootfs.ts'
import { openSnapshotStore } from './store.ts'
import { type Container, createWorlds, spokenIn } from './worlds.ts'

/** How a provider finds gVisor, and where it keeps what is made once for the whole machine. */
export type GvisorOptions = DetectOptions & {
  /** By default {@link defaultCacheDir}. About 75 MB. */
  cacheDir?: string
}

/**
 * Worlds of Python and shell: each a gVisor container with real Linux processes, without a network, that sees nothing of
 * the host but a root file system it cannot write. A program is Python unless its first line names a shell (`#!/bin/sh`);
 * Python names live as long as the world, the value is the last expression; a shell's value is what it writes, as JSON, on
 * descriptor 3.
 *
 * After a failure the world is brought back from its last image, the runs since then are done again, and the state root
 * tells whether that led to the same state; a world whose programs do not repeat themselves is ended, by name. Worlds move
 * only while they run.
 *
 * The state root covers files and, in the main interpreter, all that Python lets one look at (`guest/state.py`). What
 * cannot be looked at (other processes, threads, open files) is stood for by the hash of all programs that ran. Clock and
 * entropy are the machine's own, so equal runs have equal roots only as far as programs do not ask for those.
 */
export function createGvisorProvider(options: GvisorOptions = {}): WorldRuntimeProvider {
  return createHostedProvider({
    id: 'gvisor',
    name: 'gVisor containers',
    capabilities: {
      snapshot: true,
      branch: true,
      execute: true,
      merge: true,
      languages: ['python', 'sh'],
      isolation: 'gvisor',
      deterministic: false,
    },
    limits: { timeMs: 10_000, memoryBytes: 268_435_456 },
    maxMemoryBytes: 8_589_934_592,
    maxBranches: 1_000,
    accept: spokenIn,
    open: (context) => open(context, options),
  })
}

async function open(
  context: EngineContext,
  options: GvisorOptions,
): Promise<OpenEngine<Container, Image>> {
  const detection = await detectGvisor(options)
  if (!detection.available)
    throw new MultiverseError('PROVIDER_FAILED', `${detection.reason}: ${detection.install}`)
  const { engine } = detection
  const { dataDir } = context
  const cacheDir = options.cacheDir ?? defaultCacheDir()
  const rootfs = await openRootFs(cacheDir)
  const session = await openSession(join(dataDir, 'sessions'), isOfRunsc)
  try {
    const { folder } = session
    const factory = await createSandboxFactory({ engine, rootfs, cacheDir, folder })
    const store = await openSnapshotStore(join(dataDir, 'snapshots'), folder)
    return createWorlds({ session, factory, store }, context)
  } catch (error) {
    await session.close()
    throw error
  }
}

/** runsc and its helpers are all told where their state is. */
const isOfRunsc: Belongs = async (pid, folder) => {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return text.split('\0').includes(`--root=${folder}/state`)
}
