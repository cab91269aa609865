import type { DoctorOutput } from '../../sdk/output.ts'
import { type CommonOptions, dataFolder } from '../context.ts'
import { checkGvisor, checkMicrovms } from '../doctor/engines.ts'
import type { Finding } from '../doctor/finding.ts'
import { checkFolder } from '../doctor/folder.ts'
import { checkDisk, checkNode, checkPorts, checkSetup } from '../doctor/machine.ts'
import { checkChain, checkCredentials, checkDatabases } from '../doctor/services.ts'
import { EXIT } from '../errors.ts'
import { paint, type Result, table } from '../output.ts'
import { DEFAULT_PORT_BASE } from '../stack/ports.ts'
import { isRunning, readStack } from '../stack/record.ts'

export type DoctorOptions = CommonOptions & { portBase?: number }

/** Looks at all that a stack on this machine needs or could use. Changes nothing. */
export async function doctorVerb(options: DoctorOptions): Promise<Result<DoctorOutput>> {
  const dataDir = dataFolder(options)
  const { env } = process
  const probed = (
    await Promise.all([
      checkSetup(),
      checkPorts(dataDir, options.portBase ?? DEFAULT_PORT_BASE),
      checkDisk(dataDir),
      checkFolder(dataDir),
      checkChain(dataDir, options.rpc ?? (await runningChain(dataDir))),
      checkDatabases(env),
      checkGvisor(),
      checkMicrovms(),
    ])
  ).flat()
  const findings = [checkNode(), ...probed, ...checkCredentials(env)]
  const missing = findings.filter(({ required, ok }) => required && !ok)
  return {
    json: { ok: missing.length === 0, findings },
    text: [
      table(findings.flatMap(rowsOf)),
      '',
      missing.length === 0
        ? 'All that is required is there. What is optional adds kinds of worlds and remote providers.'
        : `Required and missing: ${missing.map(({ name }) => name).join(', ')}.`,
    ].join('\n'),
    exitCode: missing.length === 0 ? EXIT.ok : EXIT.failed,
  }
}

function rowsOf({ name, required, ok, detail, mend }: Finding): string[][] {
  const mark = ok ? paint('green', 'ok') : required ? paint('red', 'lack') : paint('dim', 'none')
  return [[mark, name, detail], ...(mend === null ? [] : [['', '', `-> ${mend}`]])]
}

/** Of the stack on the data folder, if one runs. */
async function runningChain(dataDir: string): Promise<string | undefined> {
  const stack = await readStack(dataDir)
  return stack !== undefined && (await isRunning(stack.supervisor)) ? stack.urls.rpc : undefined
}
