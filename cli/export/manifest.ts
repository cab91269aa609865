import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Deployment } from '../../sdk/deployment.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { writeJson } from '../../sdk/node/files.ts'

const fileSchema = z.strictObject({
  /** From the folder, with slashes. */
  path: z.string(),
  table: z.string(),
  /** UTC, as in 2026-01-31. */
  day: z.string(),
  rows: z.int(),
  bytes: z.int(),
  sha256: z.string(),
})

const manifestSchema = z.strictObject({
  version: z.literal(1),
  chainId: z.int(),
  multiverse: z.string(),
  startBlockHash: z.string(),
  /** All blocks up to this height are in the files. */
  settled: z.int(),
  /** The last of them that holds events: it must stay where it is. */
  anchor: z.strictObject({ number: z.int(), hash: z.string() }).nullable(),
  /** How far each keeper's journal is in the files: the last entry by `keeper/epoch`. */
  journals: z.record(z.string(), z.int()),
  files: z.array(fileSchema),
})

/** `manifest.json` of an export: which files make it up. Written last, so that a file that is not in it is none of it. */
export type Manifest = z.infer<typeof manifestSchema>
export type ExportedFile = z.infer<typeof fileSchema>

const NAME = 'manifest.json'
/** Names of files that only an export gives. */
const OURS = /(^|\/)(blocks-\d+-\d+|entries-\d+-\d+-\d+-[0-9a-f]{8})\.parquet(\.\d+\.tmp)?$/

/**
 * Opens a folder for an export: the manifest of the last one, or a new one for an empty folder. Files that an export which
 * was killed has left are removed.
 * @throws NOT_AN_EXPORT for a folder with other things in it, WRONG_DEPLOYMENT, EXPORT_DAMAGED
 */
export async function openExport(folder: string, deployment: Deployment): Promise<Manifest> {
  await mkdir(folder, { recursive: true })
  const { chainId, startBlockHash } = deployment
  const multiverse = deployment.addresses.multiverse.toLowerCase()
  const present = await filesIn(folder)
  const known = present.includes(NAME) ? await readManifest(folder) : null
  if (
    known !== null &&
    (known.startBlockHash !== startBlockHash || known.multiverse !== multiverse)
  )
    throw new MultiverseError(
      'WRONG_DEPLOYMENT',
      `${folder} holds ${known.multiverse} on chain ${known.chainId}`,
    )
  const manifest: Manifest = known ?? {
    version: 1,
    chainId,
    multiverse,
    startBlockHash,
    settled: -1,
    anchor: null,
    journals: {},
    files: [],
  }
  const listed = new Set(manifest.files.map(({ path }) => path))
  const unlisted = present.filter((path) => path !== NAME && !listed.has(path))
  const foreign = unlisted.find((path) => !OURS.test(path))
  if (known === null && foreign !== undefined)
    throw new MultiverseError(
      'NOT_AN_EXPORT',
      `${folder} holds ${foreign}: name an empty folder, or one of an earlier export`,
    )
  for (const path of unlisted.filter((each) => OURS.test(each))) await rm(join(folder, path))
  for (const { path, bytes } of manifest.files) {
    const size = present.includes(path) ? (await stat(join(folder, path))).size : null
    if (size !== bytes)
      throw new MultiverseError(
        'EXPORT_DAMAGED',
        `${path} is ${size === null ? 'gone' : `${size} bytes long, not ${bytes}`}: export to a new folder`,
      )
  }
  return manifest
}

/** Makes what was exported count. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  await writeJson(join(folder, NAME), manifest)
}

async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, NAME)
  try {
    return manifestSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    throw new MultiverseError('EXPORT_DAMAGED', `${path} is no manifest of this version`, { cause })
  }
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name).slice(join(folder, '/').length).replaceAll('\\', '/'),
    )
}
