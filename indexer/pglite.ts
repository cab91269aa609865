import { randomUUID } from 'node:crypto'
import { cp, mkdir, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
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
 * Makes a new folder with an empty database. Initialising one takes more than a second of computing, so a template is
 * kept in ponder's own cache folder and copied.
 */
export async function createPgliteFolder(folder: string): Promise<void> {
  const { version } = fromPonder(join(folderOfCode, '../package.json')) as { version: string }
  const template = fileURLToPath(new URL(`.ponder/pglite-${version}`, import.meta.url))
  if (!(await exists(template))) await createTemplate(template)
  await cp(template, folder, { recursive: true })
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
