import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compiledCode, SHARED_FOLDER } from './helpers/shared.ts'

/**
 * Gives all test files of a run one folder for what is costly to make, and removes it at the end. What Node compiles for one of
 * them, and for the processes that they start, the others need not compile.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'multiverse-tests-'))
  process.env[SHARED_FOLDER] = folder
  process.env['NODE_COMPILE_CACHE'] = compiledCode()
  // Processes that are about to end may still leave there what they compiled.
  return () => rm(folder, { recursive: true, force: true, maxRetries: 10 })
}
