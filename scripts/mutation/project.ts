import { artifacts } from 'hardhat'
import type { Target } from './compiler.ts'

const isElsewhere = (source: string, folders: readonly string[]) =>
  folders.some((folder) => source.startsWith(`contracts/${folder}/`))

/** The contracts that ship: all that can be deployed, but for libraries and mocks. */
export async function findTargets(): Promise<Target[]> {
  const found: Target[] = []
  for (const qualified of [...(await artifacts.getAllFullyQualifiedNames())].toSorted()) {
    const [source, name] = qualified.split(':') as [string, string]
    if (!source.startsWith('contracts/')) continue
    if (isElsewhere(source, ['interfaces', 'libraries', 'types', 'mocks'])) continue
    const { bytecode } = await artifacts.readArtifact(qualified)
    if (bytecode !== '0x') found.push({ source, name })
  }
  return found
}

/** The sources that are mutated, of those that the compiler knows: all with code of ours. */
export const isMutated = (source: string): boolean =>
  source.startsWith('contracts/') && !isElsewhere(source, ['interfaces', 'mocks'])
