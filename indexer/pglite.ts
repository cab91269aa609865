import { randomUUID } from 'node:crypto'
import { appendFile, cp, mkdir, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { uptime } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

// ponder brings a PGlite of its own, and a folder can be read only by the version that made it.

type Rows<T> = { rows: T[] }

/** As much of PGlite as is used here. */
export type Pglite = {
  query<T>(sql: string, params?: unknown[], options?: { blob: Blob }): Promise<Rows<T>>
  exec(sql: string): Promise<unknown>
  close(): Promise<void>
}

const fromPonder = createRequire(import.meta.resolve('ponder'))
const folderOfCode = dirname(fromPonder.resolve('@electric-sql/pglite'))

type Class = { create(folder?: string): Promise<Pglite>; prototype: Pick<Pglite, 'query'> }

/** PGlite as ponder has it: the same class in the same process. */
export async function loadPglite(): Promise<{ PGlite: Class }> {
  return (await import(pathToFileURL(join(folderOfCode, 'index.js')).href)) as { PGlite: Class }
}

/** Opens a folder; nothing else may have it open. */
export async function openPglite(folder: string): Promise<Pglite> {
  return (await loadPglite()).PGlite.create(folder)
}

/**
 * What differs from PGlite's own settings. By itself it waits for the disk at every commit, but not when it moves what was
 * committed from the log to the tables: so it waits, and is safe from a power cut only at times all the same. Here it
 * never waits, and {@link wentDownOpen} tells what a power cut may have left. A process that is killed loses nothing by it.
 */
const SETTINGS = "wal_sync_method = 'fdatasync'\n"

/**
 * Makes a new folder with an empty database. Initialising one takes more than a second of computing, so a template is
 * kept in ponder's own cache folder and copied.
 */
export async function createPgliteFolder(folder: string): Promise<void> {
  const { version } = fromPonder(join(folderOfCode, '../package.json')) as { version: string }
  const template = fileURLToPath(new URL(`.ponder/pglite-${version}`, import.meta.url))
  if (!(await exists(template))) await createTemplate(template)
  await cp(template, folder, { recursive: true })
  await appendFile(join(folder, 'postgresql.conf'), SETTINGS)
}

async function createTemplate(template: string): Promise<void> {
  const draft = `${template}.${randomUUID()}`
  try {
    await mkdir(draft, { recursive: true })
    const database = await openPglite(draft)
    await database.close()
    // Renaming is atomic: whoever comes second finds the name taken by as good a template.
    await rename(draft, template).catch(async (error: unknown) => {
      if (!(await exists(template))) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/**
 * Whether the machine went down since the file at `path` was written: it is written when a database is opened, and removed
 * when it is closed in order.
 */
export async function wentDownOpen(path: string): Promise<boolean> {
  if (!(await exists(path))) return false
  const { mtimeMs } = await stat(path)
  return mtimeMs < Date.now() - uptime() * 1_000
}

/** Whether there is something at `path`. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
