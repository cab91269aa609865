import { writeFile } from 'node:fs/promises'
import { MultiverseError, oneLine } from '../sdk/errors.ts'

/** Writes the file that a person asked for. @throws FILE_UNWRITABLE where it cannot be */
export async function writeAsked(path: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeFile(path, content)
  } catch (cause) {
    throw new MultiverseError('FILE_UNWRITABLE', oneLine(cause), { cause })
  }
}
