import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Deployment, deploymentSchema } from '../deployment.ts'
import { isMultiverseError, MultiverseError } from '../errors.ts'
import { upgradeDataFolder } from './version.ts'

/** Where a data folder keeps its parts. */
export function dataPaths(dataDir: string) {
  const at = (name: string) => join(dataDir, name)
  return {
    deployment: at('deployment.json'),
    stack: at('stack.json'),
    chain: at('chain'),
    keeper: at('keeper'),
    worlds: at('worlds'),
    ponder: at('ponder'),
    analytics: at('analytics'),
    logs: at('logs'),
    /** What a deployment that is under way has sent. */
    deploying: at('deploying.json'),
    /** The keeper's unix socket, mode 0600. */
    keeperSocket: at('keeper.sock'),
  }
}

/**
 * Reads a data folder's deployment. A folder of an older layout is upgraded first.
 * @throws NO_DEPLOYMENT when there is none, DEPLOYMENT_INVALID when it cannot be understood, DATA_TOO_NEW, DATA_INVALID
 */
export async function readDeployment(dataDir: string): Promise<Deployment> {
  const path = dataPaths(dataDir).deployment
  let text: string
  try {
    // Whoever has no deployment here may not have a data folder at all: nothing is written into that.
    await access(path)
    await upgradeDataFolder(dataDir)
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (isMultiverseError(cause)) throw cause
    throw new MultiverseError(
      'NO_DEPLOYMENT',
      `no deployment at ${path}: start a stack with \`npm start\`, or \`multiverse deploy\``,
      { cause },
    )
  }
  try {
    return deploymentSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new MultiverseError('DEPLOYMENT_INVALID', `${path} is not a deployment record`, { cause })
  }
}
