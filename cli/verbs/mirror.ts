import { setTimeout as sleep } from 'node:timers/promises'
import { MultiverseError } from '../../sdk/errors.ts'
import { readDeployment } from '../../sdk/node/data.ts'
import type { CheckOutput, ExportOutput, RebuildOutput } from '../../sdk/output.ts'
import { withAnalytics } from '../analytics.ts'
import { checkMirror } from '../check/check.ts'
import { type CommonOptions, createReadClient, dataFolder, runningStack } from '../context.ts'
import { exportTo } from '../export/export.ts'
import { type Progress, type Result, table } from '../output.ts'
import { createAnalyticsApi } from '../services.ts'

// What keeps the analytics' database right, and takes it out.

const POLL_MS = 100
const SHOWN = 20

/** Compares DuckDB, the indexer and the contract. Exit code 1 when they differ. @throws NO_STACK, CHECK_UNSETTLED */
export async function checkVerb(options: CommonOptions): Promise<Result<CheckOutput>> {
  const { urls } = await runningStack(options)
  const { addresses } = await readDeployment(dataFolder(options))
  const json = await checkMirror({
    analytics: createAnalyticsApi(urls.analytics),
    graphqlUrl: urls.graphql,
    client: createReadClient(urls.rpc),
    multiverse: addresses.multiverse,
  })
  return { json, text: describeCheck(json), exitCode: json.ok ? 0 : 1 }
}

function describeCheck({
  ok,
  block,
  compared,
  differences,
  faults,
  problems,
}: CheckOutput): string {
  const lines = [
    `${compared} balances at block ${block.number}: DuckDB, indexer and contract ${differences.length === 0 ? 'agree' : `differ in ${differences.length}`}`,
    ...faults.map(({ fault, count }) => `${count} ${fault}`),
    ...problems.map(({ of, code, message }) => `${of}: ${code}: ${message}`),
  ]
  if (differences.length > 0)
    lines.push(
      table(
        differences
          .slice(0, SHOWN)
          .map((each) => [each.owner, each.position, each.duckdb, each.indexer, each.contract]),
        ['owner', 'position', 'duckdb', 'indexer', 'contract'],
      ),
    )
  if (differences.length > SHOWN) lines.push(`… ${differences.length - SHOWN} more: use --json`)
  return [...lines, ok ? 'all is well' : 'something is wrong'].join('\n')
}

/** Has the running analytics make their database anew. @throws NO_STACK, REBUILD_RUNNING, and why it failed */
export async function rebuildVerb(
  options: CommonOptions,
  progress: Progress,
): Promise<Result<RebuildOutput>> {
  const { urls } = await runningStack(options)
  const analytics = createAnalyticsApi(urls.analytics)
  await analytics.rebuild()
  for (;;) {
    const state = await analytics.rebuildState()
    switch (state.kind) {
      case 'failed':
        throw new MultiverseError(state.code, state.message)
      case 'done': {
        const { block, ms } = state
        return { json: { block, ms }, text: `rebuilt up to block ${block} in ${ms} ms` }
      }
      case 'running':
        progress.begin(`at block ${state.block ?? 'none'}`)
        break
      case 'none':
        throw new MultiverseError('NO_ANALYTICS', 'the analytics ended while they rebuilt')
    }
    await sleep(POLL_MS)
  }
}

export type ExportOptions = CommonOptions & { to: string }

/** Brings a folder of Parquet files up to the settled block. @throws NO_STACK, EXPORT_DIVERGED, NOT_AN_EXPORT */
export async function exportVerb(options: ExportOptions): Promise<Result<ExportOutput>> {
  const deployment = await readDeployment(dataFolder(options))
  const json = await withAnalytics(options, (analytics) =>
    exportTo({ folder: options.to, analytics, deployment }),
  )
  const { folder, settled, files, rows } = json
  return { json, text: `${rows} new rows in ${files} new files: ${folder} is at block ${settled}` }
}
