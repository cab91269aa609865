import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { oneLine } from '../../sdk/errors.ts'
import { locate } from '../host/commands.ts'
import type { Acceleration, EngineId } from './engine.ts'
import { chooseEngine, type EngineOptions, findEngines, INSTALL } from './engines.ts'
import { defaultCacheDir, findGuest, missingTools, openGuest } from './guest.ts'
import { startProcess } from './processes.ts'
import { connectQmp } from './qmp.ts'

/** Whether worlds can run here and how, or why not and what to do. `reason` is one line. */
export type Detection =
  | { available: true; engine: EngineId; acceleration: Acceleration; reason: string; install: null }
  | { available: false; engine: null; acceleration: null; reason: string; install: string }

const PROBE_MS = 10_000

/**
 * Looks for an engine and has it prove itself: by a boot of the guest where there is one already, else by setting up an
 * empty machine. Leaves nothing behind but what a provider would make and keep in the cache.
 */
export async function detectMicrovm(options: EngineOptions = {}): Promise<Detection> {
  const candidates = await findEngines(options)
  if (candidates.engines.length === 0) return refuse(candidates.faults.join('; '))
  const cacheDir = options.cacheDir ?? defaultCacheDir()
  try {
    if (await findGuest(cacheDir)) {
      const guest = await openGuest(cacheDir)
      const chosen = await chooseEngine(candidates, guest, cacheDir, () => {})
      return accept(chosen.engine, chosen.faults)
    }
    const missing = await missingTools()
    if (missing.length > 0) return refuse(`no guest is built yet, and there is no ${missing[0]}`)
    const last = candidates.engines.at(-1)
    if (last === undefined) return refuse('there is no engine')
    if (last.id === 'qemu') await probeQemu(options.qemu ?? 'qemu-system-x86_64')
    return accept(last, [...candidates.faults, 'the guest is not built yet'])
  } catch (error) {
    return refuse(oneLine(error))
  }
}

/** Has QEMU set up an empty machine of the kind that worlds run on. */
async function probeQemu(binary: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'microvm-probe-'))
  const path = (await locate(binary)) ?? binary
  const machine = ['-M', 'microvm', '-accel', 'tcg', '-m', '16M', '-nodefaults', '-display', 'none']
  const monitor = ['-S', '-chardev', 'socket,id=m,fd=3', '-mon', 'chardev=m,mode=control']
  const qemu = startProcess([path, ...machine, ...monitor], folder, 1)
  const timer = setTimeout(() => void qemu.end(), PROBE_MS)
  try {
    const [pipe] = qemu.pipes
    if (pipe !== undefined) await connectQmp(pipe).greeted
  } catch (error) {
    throw qemu.explain(error)
  } finally {
    clearTimeout(timer)
    await qemu.end()
    await rm(folder, { recursive: true, force: true })
  }
}

function accept(
  { id, acceleration, name }: { id: EngineId; acceleration: Acceleration; name: string },
  faults: readonly string[],
): Detection {
  const how = acceleration === 'kvm' ? 'virtualised' : 'emulated by software'
  const reason = [`${name}: ${how}`, ...faults].join('; ')
  return { available: true, engine: id, acceleration, reason, install: null }
}

function refuse(reason: string): Detection {
  return { available: false, engine: null, acceleration: null, reason, install: INSTALL }
}
