import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import { createReadClient, createWriteClient } from '../context.ts'
import type { Progress } from '../output.ts'
import { createAnalyticsApi, createKeeperApi } from '../services.ts'
import type { Stack } from '../stack/stack.ts'
import { type ProviderId, scenarioLanguage } from '../stack/worlds.ts'
import { localAccount } from '../wallets.ts'
import { checkRun } from './checks.ts'
import { runScenario } from './run.ts'
import type { Outcome } from './spec.ts'
import { type Summary, summarize } from './summary.ts'

/** What comes true, the degree of the latency, and what the worlds run in. */
export type ScenarioOptions = { outcome: Outcome; degree: number; provider: ProviderId }

/** Plays the scenario on a running stack and checks everything it claims. */
export async function playScenario(
  stack: Stack,
  { outcome, degree, provider }: ScenarioOptions,
  progress: Progress,
): Promise<Summary> {
  const { deployment, record, dataDir, signal } = stack
  const client = createReadClient(record.urls.rpc)
  const ledger = { client, deployment }
  progress.say(`contracts stand on chain ${deployment.chainId} (${Math.round(stack.deployMs)} ms)`)
  progress.begin('starting the keeper')
  await stack.keeperReady
  progress.begin('playing the scenario')
  const run = await runScenario(
    {
      ledger,
      wallet: (name) => createWriteClient(record.urls.rpc, localAccount(name)),
      keeper: createKeeperApi(() => keeperSocketPath(dataDir)),
      say: progress.say,
      signal,
    },
    { degree, outcome, language: scenarioLanguage(provider) },
  )
  progress.begin('checking against the chain and DuckDB')
  await stack.ready
  const analytics = createAnalyticsApi(record.urls.analytics)
  const checks = await checkRun(run, { ledger, analytics, signal })
  for (const { name, problem } of checks)
    progress.say(problem === null ? `held: ${name}` : `did NOT hold: ${name}: ${problem}`)
  const { timings } = run.partition
  const bootstrapMs = Number(process.env['MULTIVERSE_BOOTSTRAP_MS'] ?? 0)
  return {
    ok: checks.every(({ problem }) => problem === null),
    ...summarize(
      run,
      { chainId: deployment.chainId, multiverse: deployment.addresses.multiverse },
      {
        bootstrapMs,
        deployMs: round(stack.deployMs),
        branchMs: round((timings.snapshotMs ?? 0) + (timings.branchMs ?? 0)),
        executeMs: round(timings.executeMs ?? 0),
        reportMs: round(run.reportMs),
        // The process's own clock begins when it does.
        endToEndMs: round(bootstrapMs + performance.now()),
      },
    ),
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
