import { readlink } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import type { EngineContext, OpenEngine } from '../host/engine.ts'
import { invalid } from '../host/errors.ts'
import { createHostedProvider } from '../host/provider.ts'
import { type Belongs, openSession } from '../host/session.ts'
import type { WorldRuntimeProvider } from '../provider.ts'
import type { Engine } from './engine.ts'
import {
  chooseEngine,
  DEFAULT_MEMORY_MIB,
  type EngineOptions,
  findEngines,
  INSTALL,
} from './engines.ts'
import { defaultCacheDir, openGuest } from './guest.ts'
import { createMachines, type Held } from './machines.ts'
import { openSnapshotStore } from './store.ts'
import { DEFAULT_MEMORY_BYTES, dropTemplates, holdTemplate } from './template.ts'
import { createWorlds, type Guest, type Manners, spokenIn } from './worlds.ts'

export type MicrovmOptions = EngineOptions & {
  /**
   * Where worlds take random numbers and the time from.
   *
   * `fresh` (the default): every world that was branched gets entropy of its own, for the kernel and for the interpreters,
   * before its first program, and the machine's time. `recorded`: from the seed that its first ancestor was created with,
   * and from a clock that starts at the year 2000 and moves by a millisecond a run, so that a run can be done again;
   * siblings then draw the same numbers. What Python and JavaScript offer is recorded, what a shell takes from the kernel
   * is not.
   */
  entropy?: Manners['entropy']
  /** What programs are written in whose first line does not name their language; JavaScript by default. */
  language?: Manners['language']
  /** Processes kept ready for worlds to come, which makes a branch about 20 ms quicker; none by default. */
  spares?: number
  /** Is told what takes long: building the guest, a cold boot. */
  note?: (text: string) => void
}

const ID = 'microvm'
/** What the guest needs for itself. */
const OWN_MIB = 96

/**
 * Worlds of JavaScript, Python and shell: each a virtual machine with a Linux kernel of its own, without a network. A
 * program's first line may name its language (`#!/bin/sh`, `#!/usr/bin/env python3`). Names live as long as the world; the
 * value is the last expression's, awaited; a shell's is what it writes, as JSON, on descriptor 3.
 *
 * A world's time stands still between runs. When the machine itself dies, it is made again from the last state. Memory,
 * files and other processes are all part of it.
 *
 * A microVM's memory never repeats itself to the bit. The state root therefore commits to the world's history: the guest,
 * the seed, every program and every answer. Equal roots mean equal answers to equal questions. A snapshot's id is the hash
 * of the state itself.
 */
export function createMicrovmProvider(options: MicrovmOptions = {}): WorldRuntimeProvider {
  const { entropy = 'fresh', language = 'javascript' } = options
  return createHostedProvider({
    id: ID,
    name: 'Linux microVMs',
    capabilities: {
      snapshot: true,
      branch: true,
      execute: true,
      merge: true,
      languages: ['javascript', 'python', 'sh'],
      isolation: ID,
      deterministic: entropy === 'recorded',
    },
    limits: { timeMs: 10_000, memoryBytes: DEFAULT_MEMORY_BYTES },
    maxBranches: 1_000,
    accept: (code) => spokenIn(code, language),
    open: (context) => open(context, options, { entropy, language }),
  })
}

async function open(
  context: EngineContext,
  options: MicrovmOptions,
  manners: Manners,
): Promise<OpenEngine<Guest, Held>> {
  const { note = () => {}, cacheDir = defaultCacheDir(), memoryMiB = DEFAULT_MEMORY_MIB } = options
  const { dataDir, limits } = context
  const most = (memoryMiB - OWN_MIB) * 1_048_576
  if (limits.memoryBytes > most)
    throw invalid(`memoryBytes ${limits.memoryBytes} is above ${most}: give guests more memoryMiB`)
  const candidates = await findEngines({ ...options, memoryMiB })
  if (candidates.engines.length === 0)
    throw new MultiverseError('PROVIDER_FAILED', `${candidates.faults.join('; ')}: ${INSTALL}`)
  const guest = await openGuest(cacheDir, note)
  const { engine, template } = await chooseEngine(candidates, guest, cacheDir, note)
  const session = await openSession(join(dataDir, 'sessions'), worksIn)
  try {
    const store = await openSnapshotStore(join(dataDir, 'snapshots'))
    const bare = await holdTemplate(template, dataDir)
    if (await session.isAlone())
      await dropTemplates(dataDir, new Set([bare.id, ...(await store.templates())]))
    const spares = options.spares ?? 0
    const machines = createMachines({ engine, template: bare, session, dataDir, spares })
    const worlds = createWorlds(
      { bare, guest: guest.id, session, machines, store },
      manners,
      context,
    )
    return { ...worlds, isolation: isolationOf(engine) }
  } catch (error) {
    await session.close()
    throw error
  }
}

function isolationOf({ id, acceleration }: Engine): string {
  return `${ID} (${id}, ${acceleration === 'kvm' ? 'virtualised by KVM' : 'emulated by software'})`
}

/** Every machine works in a folder of its own. */
const worksIn: Belongs = async (pid, folder) => {
  const place = await readlink(`/proc/${pid}/cwd`).catch(() => '')
  return place.startsWith(folder + sep)
}
