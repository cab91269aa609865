import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { detectGvisor } from '../../providers/gvisor/engine.ts'
import { locate, run } from '../../providers/host/commands.ts'
import { INSTALL as INSTALL_QEMU } from '../../providers/microvm/engines.ts'
import { oneLine } from '../../sdk/errors.ts'
import { type Finding, found, lacking } from './finding.ts'

const VERSION_MS = 10_000

/** gVisor is there when it has run a container. */
export async function checkGvisor(): Promise<Finding> {
  const gvisor = { id: 'gvisor', name: 'gVisor', required: false }
  const detected = await detectGvisor()
  if (!detected.available) return lacking(gvisor, detected.reason, detected.install)
  const { version, platform } = detected.engine
  return found(gvisor, `runsc ${version} runs containers (${platform})`)
}

/** The programs and the device that microVMs can run on. */
export function checkMicrovms(): Promise<Finding[]> {
  return Promise.all([
    checkProgram({ id: 'qemu', name: 'QEMU' }, 'qemu-system-x86_64', INSTALL_QEMU),
    checkProgram(
      { id: 'firecracker', name: 'Firecracker' },
      'firecracker',
      'put a release of github.com/firecracker-microvm/firecracker on the PATH',
    ),
    checkKvm(),
  ])
}

async function checkProgram(
  named: { id: string; name: string },
  program: string,
  install: string,
): Promise<Finding> {
  const subject = { ...named, required: false }
  const path = await locate(program)
  if (path === null) return lacking(subject, `there is no ${program} on the PATH`, install)
  try {
    const said = await run(path, ['--version'], { timeoutMs: VERSION_MS })
    return found(subject, said.split('\n', 1)[0] ?? path)
  } catch (error) {
    return lacking(subject, `${path} does not start: ${oneLine(error)}`, install)
  }
}

async function checkKvm(path = '/dev/kvm'): Promise<Finding> {
  const kvm = { id: 'kvm', name: path, required: false }
  try {
    await access(path, constants.R_OK | constants.W_OK)
    return found(kvm, 'can be opened: microVMs need not be emulated')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? lacking(
          kvm,
          'not there: microVMs are emulated',
          'turn virtualisation on in the firmware, or in the machine that this one runs in',
        )
      : lacking(kvm, oneLine(error), 'sudo usermod -aG kvm $USER, and log in again')
  }
}
