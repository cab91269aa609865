import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { dirname } from 'node:path'
import { oneLine } from '../../sdk/errors.ts'
import { DATA_VERSION } from '../../sdk/node/version.ts'
import { type FolderState, inspectFolder } from '../stack/folder.ts'
import { type Finding, found, lacking } from './finding.ts'

const subject = { id: 'data', name: 'data folder', required: true }
const ANOTHER = 'name another folder with --data'

/** The data folder: whose it is, in which version, whether it can be written to, and who works on it. */
export async function checkFolder(dataDir: string): Promise<Finding> {
  try {
    const state = await inspectFolder(dataDir)
    await assertWritable(dataDir)
    return judge(dataDir, state)
  } catch (error) {
    return lacking(subject, oneLine(error), ANOTHER)
  }
}

function judge(dataDir: string, state: FolderState): Finding {
  if (state.kind === 'missing') return found(subject, `${dataDir} will be made`)
  if (state.kind === 'foreign')
    return lacking(subject, `${dataDir} holds ${state.entry}, which is not ours`, ANOTHER)
  const { version, holder } = state
  const later = version === DATA_VERSION ? '' : `, to be brought to ${DATA_VERSION}`
  const by = holder === null ? '' : `, held by process ${holder}`
  return found(subject, `${dataDir}, version ${version}${later}, writable${by}`)
}

async function assertWritable(path: string): Promise<void> {
  try {
    await access(path, constants.W_OK | constants.X_OK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error
    await assertWritable(dirname(path))
  }
}
