import { resolve } from 'node:path'
import type { HardhatRuntimeEnvironment } from 'hardhat/types/hre'
import { isMultiverseError } from '../sdk/errors.ts'
import { deploy } from './deploy.ts'

/** `hardhat deploy-multiverse --network NAME [--data DIR]`: deploys with the network's URL and key, prints the record. */
export default async function deployMultiverse(
  { data }: { data: string },
  hre: HardhatRuntimeEnvironment,
): Promise<void> {
  await hre.tasks.getTask('build').run({ quiet: true, noTests: true })
  const { provider, networkName } = await hre.network.create()
  const dataDir = resolve(data === '' ? `.data/networks/${networkName}` : data)
  try {
    const deployment = await deploy({ provider, dataDir, withToken: false })
    process.stdout.write(`${JSON.stringify({ dataDir, ...deployment }, null, 2)}\n`)
  } catch (error) {
    if (!isMultiverseError(error)) throw error
    process.stderr.write(`error ${error.code}: ${error.message}\n`)
    process.exitCode = error.code === 'OTHER_CHAIN' ? 3 : 1
  }
}
