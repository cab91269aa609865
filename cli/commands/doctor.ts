import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import type { DoctorOptions } from '../verbs/doctor.ts'
import { integerFrom } from './options.ts'

/** The verb that looks after the machine. */
export function registerDoctorCommand({ verb, finish }: Registry): void {
  verb('doctor', 'look at what is installed, running and reachable, and say how to mend it')
    .option('--rpc <url>', 'JSON-RPC of a chain to try (default: the running stack)')
    .option('--port-base <port>', 'first of four ports', integerFrom(1024, 65_000))
    .addHelpText(
      'after',
      examples(
        ['doctor', 'is everything there? It exits with 1 when something required is not'],
        ['doctor --data .data/networks/sepolia --rpc https://rpc.example.org', 'another chain'],
        ['doctor --json', 'for a program'],
      ),
    )
    .action(async (options: DoctorOptions) => {
      // Loaded when needed: it takes every engine.
      const { doctorVerb } = await import('../verbs/doctor.ts')
      await finish(await doctorVerb(options), options)
    })
}
