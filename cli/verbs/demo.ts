import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import type { CommonOptions } from '../context.ts'
import type { Progress, Result } from '../output.ts'
import type { DemoOutput } from '../../sdk/output.ts'
import { playScenario, type ScenarioOptions } from '../scenario/play.ts'
import { describeSummary, type Summary } from '../scenario/summary.ts'
import { freePorts } from '../stack/ports.ts'
import { startStack } from '../stack/stack.ts'
import { keeperProviders, requireProvider, scenarioLanguage } from '../stack/worlds.ts'

export type DemoOptions = CommonOptions & ScenarioOptions

type Deps = { progress: Progress; signal: AbortSignal }

/**
 * Runs the whole multiverse once: starts a stack on free ports, plays the default scenario, checks everything it claims,
 * and leaves no process behind; nor a file, unless a data folder is named.
 */
export async function demoVerb(options: DemoOptions, deps: Deps): Promise<Result<DemoOutput>> {
  const { progress } = deps
  scenarioLanguage(options.provider)
  await requireProvider(options.provider)
  const isTemporary = options.data === undefined
  const dataDir =
    options.data === undefined
      ? await mkdtemp(join(tmpdir(), 'multiverse-demo-'))
      : resolve(options.data)
  try {
    const summary = await demonstrate(dataDir, options, deps)
    if (!summary.ok) progress.say('error NOT_HELD: not everything the demo claims held: see above')
    return {
      json: summary,
      text: `${describeSummary(summary)}\n${summary.ok ? 'everything held' : 'not everything held'}`,
      exitCode: summary.ok ? 0 : 1,
    }
  } finally {
    if (isTemporary) await rm(dataDir, { recursive: true, force: true })
    else progress.say(`everything is kept in ${dataDir}`)
  }
}

async function demonstrate(
  dataDir: string,
  options: DemoOptions,
  { progress, signal }: Deps,
): Promise<Summary> {
  progress.begin('starting chain and contracts')
  const stack = await startStack({
    dataDir,
    ports: freePorts,
    fresh: false,
    providers: keeperProviders(options.provider),
    say: progress.say,
    signal,
  })
  try {
    return await Promise.race([
      playScenario(stack, options, progress),
      stack.supervisor.failure,
      interrupted(signal),
    ])
  } finally {
    progress.begin('stopping')
    await stack.stop()
  }
}

/** Rejects when the user ends the program. */
function interrupted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () => reject(new MultiverseError('INTERRUPTED', 'ended before it was done'))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
