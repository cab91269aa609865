import { createRequire } from 'node:module'
import { MultiverseError } from '../../sdk/errors.ts'

const SYSTEMS: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'linux',
  darwin: 'darwin',
  win32: 'win32',
}
const MACHINES: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', arm64: 'arm64' }

/**
 * Path of the platform's anvil binary. Its npm launcher is passed over: stopping that would leave anvil behind.
 * @throws UNSUPPORTED_PLATFORM, ANVIL_MISSING
 */
export function anvilBinary(): string {
  const { platform, arch } = process
  const [system, machine] = [SYSTEMS[platform], MACHINES[arch]]
  if (system === undefined || machine === undefined)
    throw new MultiverseError('UNSUPPORTED_PLATFORM', `there is no anvil for ${platform}-${arch}`)
  const name = platform === 'win32' ? 'anvil.exe' : 'anvil'
  const path = `@foundry-rs/anvil-${system}-${machine}/bin/${name}`
  try {
    const fromHere = createRequire(import.meta.url)
    return createRequire(fromHere.resolve('@foundry-rs/anvil/package.json')).resolve(path)
  } catch (cause) {
    throw new MultiverseError('ANVIL_MISSING', `${path} is not installed: run \`npm ci\``, {
      cause,
    })
  }
}
