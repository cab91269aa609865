import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Hex } from 'viem'
import { z } from 'zod'
import { MultiverseError } from '../sdk/errors.ts'

const artifactsDir = fileURLToPath(new URL('../artifacts/', import.meta.url))

const hex = z.templateLiteral(['0x', z.string().regex(/^[0-9a-f]*$/)])

const artifactSchema = z.object({
  sourceName: z.string(),
  contractName: z.string(),
  bytecode: hex,
  deployedBytecode: hex,
  immutableReferences: z
    .record(z.string(), z.array(z.object({ start: z.number(), length: z.number() })))
    .default({}),
})
/** What `hardhat build` wrote of a contract. */
export type Artifact = z.infer<typeof artifactSchema>

/** Reads the artifact of a contract by its source's path and its name. @throws NOT_COMPILED */
export async function readArtifact(source: string, name: string): Promise<Artifact> {
  const path = join(artifactsDir, source, `${name}.json`)
  if (!existsSync(path))
    throw new MultiverseError('NOT_COMPILED', `no artifact of ${name}: run \`npm run compile\``)
  return artifactSchema.parse(JSON.parse(await readFile(path, 'utf8')))
}

/** Whether `code` is what this artifact's contract has on a chain: equal but for the values of its immutables. */
export function isCodeOf({ deployedBytecode, immutableReferences }: Artifact, code: Hex): boolean {
  const holes = Object.values(immutableReferences).flat()
  return withoutImmutables(code, holes) === withoutImmutables(deployedBytecode, holes)
}

function withoutImmutables(code: Hex, holes: readonly { start: number; length: number }[]): Hex {
  let text = code.slice(2).toLowerCase()
  for (const { start, length } of holes)
    text = text.slice(0, start * 2) + '00'.repeat(length) + text.slice((start + length) * 2)
  return `0x${text}`
}
