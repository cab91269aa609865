import { Argument, InvalidArgumentError, Option } from 'commander'
import { DEFAULT_SEED } from '../../providers/scenarios/scenario.ts'
import { ROSTER } from '../../providers/roster.ts'
import { providerIds } from '../../providers/registry.ts'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import type { PlayOptions } from '../runtime/round.ts'
import type { TableOptions } from '../runtime/rows.ts'
import type { OwnedOptions } from '../runtime/site.ts'
import { OUTCOMES, type Outcome } from '../scenario/spec.ts'
import {
  branchWorldVerb,
  createWorldVerb,
  type MadeOptions,
  type OfWorldOptions,
  pipelineVerb,
  snapshotWorldVerb,
  verseOnVerb,
} from '../verbs/runtime.ts'

const DOES = { 1: 'run', 0: 'optimise', '-1': 'verify' } as const

/** The seeds' commands that act: on one provider, on all of them, on worlds, and on the chain as well. */
export function registerRuntimeCommands({ verb, finish, ...deps }: Registry): void {
  const tableVerb = (name: string, description: string) =>
    verb(name, description)
      .option('--csv', 'print CSV')
      .option('--parquet <file>', 'write a Parquet file')

  for (const { id, name, trit, kind } of ROSTER)
    tableVerb(`verse-on-${id}`, `${DOES[trit]} the verses of a seed on ${name}`)
      .addArgument(seed())
      .addHelpText(
        'after',
        examples(
          [
            `verse-on-${id} 1069`,
            kind === 'remote'
              ? 'says which variables to set when there are no credentials'
              : 'three verses; every lane shows what it still wants',
          ],
          [`verse-on-${id} 0x42d --json`, 'the same seed, for a program'],
        ),
      )
      .action(async (of: number, options: TableOptions) =>
        finish(await verseOnVerb(id, of, options), options),
      )

  tableVerb('verse-pipeline', 'branch, run, optimise and verify the verses of a seed, and choose')
    .addArgument(seed())
    .addOption(generator())
    .addHelpText(
      'after',
      examples(
        ['verse-pipeline 1069', 'exits 1 when a lane does not close'],
        ['verse-pipeline 1069 --csv', 'a line for each lane'],
      ),
    )
    .action(async (of: number, options: MadeOptions) =>
      finish(await pipelineVerb(of, options), options),
    )

  tableVerb('world-runtime-create', 'make a world of a seed')
    .addArgument(seed())
    .addOption(generator())
    .addHelpText(
      'after',
      examples(
        ['world-runtime-create', "the seeds' own seed"],
        ['world-runtime-create 7 --provider gvisor', 'another, in a container'],
      ),
    )
    .action(async (of: number, options: MadeOptions) =>
      finish(await createWorldVerb(of, options), options),
    )

  const ofWorld = (name: string, description: string) =>
    tableVerb(name, description).option('--world <world>', 'which one', 'latest')

  ofWorld('world-runtime-snapshot', 'snapshot a world; it goes on')
    .addHelpText(
      'after',
      examples(
        ['world-runtime-snapshot', 'the world that was made last'],
        ['world-runtime-snapshot --json', 'its whole state root'],
      ),
    )
    .action(async (options: OfWorldOptions) => finish(await snapshotWorldVerb(options), options))

  ofWorld('world-runtime-branch', 'branch a world into nash, optimal and chaos')
    .addHelpText(
      'after',
      examples(
        ['world-runtime-branch', 'the world that was made last'],
        ['world-runtime-branch --json', 'names of the three, to branch on'],
      ),
    )
    .action(async (options: OfWorldOptions) => finish(await branchWorldVerb(options), options))

  const chainVerb = (name: string, description: string) =>
    tableVerb(name, description).addOption(
      new Option('--owner <wallet>', 'whose tokens they are, on the local chain')
        .choices(['alice', 'bob', 'carol'])
        .default('alice'),
    )
  const playVerb = (name: string, description: string) =>
    chainVerb(name, description).option(
      '--amount <amount>',
      'of the demo token, which is minted',
      '100',
    )
  const run = () => ({ progress: deps.progress, signal: deps.signal() })

  playVerb('world-runtime-push-down', 'ask about a seed, push down, and have the worlds run')
    .addArgument(seed())
    .addHelpText(
      'after',
      examples(
        ['world-runtime-push-down', 'one amount in every verse, one world for each'],
        ['world-runtime-push-down 7 --amount 2.5 --owner bob', 'another seed, another owner'],
      ),
    )
    .action(async (of: number, options: PlayOptions) =>
      finish(await (await orchestration()).pushSeedVerb(of, options, run()), options),
    )

  chainVerb('world-runtime-pull-up', 'have the oracle answer the newest push-down, and pull up')
    .addArgument(oracle())
    .addHelpText(
      'after',
      examples(
        ['world-runtime-pull-up', 'optimal comes true'],
        ['world-runtime-pull-up chaos', 'another future'],
      ),
    )
    .action(async (outcome: Outcome, options: OwnedOptions) =>
      finish(await (await orchestration()).pullUpVerb(outcome, options, run()), options),
    )

  playVerb(
    'verse-orchestrate',
    'push down, run the whole pipeline, have the oracle answer, pull up',
  )
    .option('--no-optimize', 'leaves the optimiser out, which takes longest')
    .addArgument(seed())
    .addArgument(oracle())
    .addHelpText(
      'after',
      examples(
        ['verse-orchestrate 1069 optimal', 'from one amount to one amount, on the chain'],
        ['verse-orchestrate 1069 chaos --json', 'whatever comes true'],
      ),
    )
    .action(async (of: number, outcome: Outcome, options: PlayOptions) =>
      finish(await (await orchestration()).orchestrateVerb(of, outcome, options, run()), options),
    )
}

const seed = () =>
  new Argument('[seed]', 'decimal or hexadecimal').argParser(seedFrom).default(DEFAULT_SEED)
const oracle = () =>
  new Argument('[oracle]', 'what the oracle is to say').choices(OUTCOMES).default('optimal')
const generator = () =>
  new Option('--provider <provider>', 'what the worlds run in').choices(providerIds)

/** Loaded when needed: deploying takes a library that would slow every other verb down. */
const orchestration = () => import('../verbs/orchestrate.ts')

function seedFrom(text: string): number {
  const value = Number(text)
  if (!/^(\d+|0x[0-9a-fA-F]+)$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('It must be a whole number below 2^53, decimal or 0x.')
  return value
}
