import { rename, writeFile } from 'node:fs/promises'

/** Writes JSON beside `path` and renames, so that a reader sees the whole file or none. */
export async function writeJson(path: string, value: unknown, mode = 0o666): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`
  await writeFile(draft, `${JSON.stringify(value, null, 2)}\n`, { mode })
  await rename(draft, path)
}
