/* oxlint-disable vitest/no-conditional-tests, vitest/valid-title, vitest/valid-describe-callback, vitest/no-disabled-tests --
   this is no test: it makes suites */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { detectGvisor } from '../../providers/gvisor/engine.ts'
import { defaultCacheDir, openRootFs } from '../../providers/gvisor/rootfs.ts'
import { detectMicrovm } from '../../providers/microvm/detect.ts'
import { createMicrovmProvider } from '../../providers/microvm/provider.ts'
import { oneLine } from '../../sdk/errors.ts'

/** Whether a program that the project does not bring along works on this machine, and what to do if not. */
export type Found = { available: true } | { available: false; reason: string; install: string }

/** Set by CI, where every engine is installed: what is not there fails then. */
const isRequired = process.env['MULTIVERSE_REQUIRE_ENGINES'] === '1'

/**
 * A suite of what needs an engine from outside the project. Without the engine it is skipped, and says so with how to get
 * it; with MULTIVERSE_REQUIRE_ENGINES=1 it fails instead.
 */
export function describeWithEngine(name: string, found: Found, suite: () => void): void {
  if (found.available) {
    describe(name, suite)
    return
  }
  const why = `${name} needs what is not here: ${found.reason} (${found.install})`
  if (isRequired) {
    describe(name, () => {
      it('has its engine', () => expect.fail(why))
    })
    return
  }
  console.warn(`skipped: ${why}`)
  describe.skip(`${name} (${found.reason}; ${found.install})`, suite)
}

/** gVisor, and a root file system for its worlds: without Debian's packages there is none. */
export async function findGvisor(): Promise<Found> {
  const found = await detectGvisor()
  if (!found.available) return found
  try {
    await openRootFs(defaultCacheDir())
    return { available: true }
  } catch (error) {
    return { available: false, reason: oneLine(error), install: 'apt-get update' }
  }
}

/** An engine, the guest and a template. What is not there yet is made, and how long that takes is told. */
export async function findMicrovm(): Promise<Found> {
  const found = await detectMicrovm()
  if (!found.available) return found
  const dataDir = await mkdtemp(join(tmpdir(), 'microvm-'))
  const provider = createMicrovmProvider({ note: (text) => console.warn(`microvm: ${text}`) })
  try {
    await provider.init({ dataDir })
    return { available: true }
  } catch (error) {
    return { available: false, reason: oneLine(error), install: 'apt-get update' }
  } finally {
    await provider.shutdown()
    await rm(dataDir, { recursive: true })
  }
}
