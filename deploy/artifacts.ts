import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Artifact, ArtifactResolver, BuildInfo } from '@nomicfoundation/ignition-core'
import { MultiverseError } from '../sdk/errors.ts'

const artifactsDir = fileURLToPath(new URL('../artifacts/', import.meta.url))

const sources: Record<string, string> = {
  Multiverse: 'contracts/Multiverse.sol',
  Worlds: 'contracts/Worlds.sol',
  TestToken: 'contracts/mocks/TestToken.sol',
}

/**
 * Reads what `hardhat build` wrote. `withBuildInfo` copies the compiler's input into the deployment too, which source
 * verification needs; it is large.
 */
export function createArtifactResolver(withBuildInfo: boolean): ArtifactResolver {
  return {
    loadArtifact,
    async getBuildInfo(name) {
      if (!withBuildInfo) return undefined
      const { buildInfoId } = await loadArtifact(name)
      const path = join(artifactsDir, 'build-info', `${buildInfoId ?? ''}.json`)
      return JSON.parse(await readFile(path, 'utf8')) as BuildInfo
    },
  }
}

async function loadArtifact(name: string): Promise<Artifact> {
  const source = sources[name]
  if (source === undefined)
    throw new MultiverseError('UNKNOWN_CONTRACT', `no contract named ${name} is deployed here`)
  const path = join(artifactsDir, source, `${name}.json`)
  if (!existsSync(path))
    throw new MultiverseError('NOT_COMPILED', `no artifact of ${name}: run \`npm run compile\``)
  return JSON.parse(await readFile(path, 'utf8')) as Artifact
}
