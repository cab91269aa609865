import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Deployment, deploymentSchema } from '../deployment.ts'
import { MultiverseError } from '../errors.ts'

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
    ignition: at('ignition'),
    /** The keeper's unix socket, mode 0600. */
    keeperSocket: at('keeper.sock'),
  }
}

/**
 * Reads a data folder's deployment.
 * @throws NO_DEPLOYMENT when there is none, DEPLOYMENT_INVALID when it cannot be understood.
 */
export async function readDeployment(dataDir: string): Promise<Deployment> {
  const path = dataPaths(dataDir).deployment
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new MultiverseError(
      'NO_DEPLOYMENT',
      `no deployment at ${path}: start a stack with \`npm start\`, or deploy`,
      { cause },
    )
  }
  try {
    return deploymentSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new MultiverseError('DEPLOYMENT_INVALID', `${path} is not a deployment record`, { cause })
  }
}
