import { readFile, rename, writeFile } from 'node:fs/promises'
import { type CommonOptions, dataFolder } from '../context.ts'
import { type Progress, type Result, table } from '../output.ts'
import { shortId } from '../path.ts'
import type { UpOutput } from '../../sdk/output.ts'
import { playScenario, type ScenarioOptions } from '../scenario/play.ts'
import { describeSummary, type Summary } from '../scenario/summary.ts'
import { scenarioPath } from '../stack/folder.ts'
import { DEFAULT_PORT_BASE, portsFrom } from '../stack/ports.ts'
import { localAccount } from '../wallets.ts'
import { startStack, type Stack } from '../stack/stack.ts'
import { keeperProviders, requireProvider, scenarioLanguage } from '../stack/worlds.ts'

export type UpOptions = CommonOptions &
  ScenarioOptions & { fresh?: boolean; portBase?: number; scenario?: boolean }

type Deps = {
  progress: Progress
  signal: AbortSignal
  /** Takes what there is to know once everything is up. */
  ready: (result: Result<UpOutput>) => Promise<void>
}

/** Starts the laptop multiverse and stays up until the user ends it. */
export async function upVerb(options: UpOptions, deps: Deps): Promise<void> {
  const { progress, signal } = deps
  const dataDir = dataFolder(options)
  if (options.scenario === true) scenarioLanguage(options.provider)
  await requireProvider(options.provider)
  progress.begin('starting chain and contracts')
  const stack = await startStack({
    dataDir,
    ports: () => portsFrom(options.portBase ?? DEFAULT_PORT_BASE),
    fresh: options.fresh ?? false,
    providers: keeperProviders(options.provider),
    say: progress.say,
    signal,
  })
  try {
    await Promise.race([stayUp(stack, options, deps), stack.supervisor.failure, ended(signal)])
  } finally {
    progress.begin('stopping')
    await stack.stop()
    progress.end()
  }
}

async function stayUp(stack: Stack, options: UpOptions, { progress, ready }: Deps) {
  let summary = await readSummary(stack.dataDir)
  let hasHeld = true
  if (options.scenario === true && summary === undefined) {
    const { ok, ...played } = await playScenario(stack, options, progress)
    summary = played
    hasHeld = ok
    await writeSummary(stack.dataDir, summary)
  }
  progress.begin('waiting for the indexer')
  await stack.ready
  const { deployment, record, dataDir } = stack
  await ready({
    json: {
      dataDir,
      deployment,
      ...record,
      keeper: localAccount('keeper').address,
      scenario: summary ?? null,
    },
    text: [
      ...(summary === undefined ? [] : [describeSummary(summary, false), '']),
      ...(hasHeld ? [] : ['NOT everything held: see above', '']),
      describeStack(stack, summary),
    ].join('\n'),
  })
  await new Promise(() => {})
}

function describeStack(
  { deployment, record, dataDir }: Stack,
  summary: Played | undefined,
): string {
  const { multiverse, worlds, token } = deployment.addresses
  const { urls } = record
  const question = summary === undefined ? 'QUESTION' : shortId(summary.partition.question)
  const at = dataDir === dataFolder({}) ? '' : ` --data ${dataDir}`
  return [
    table([
      ['Multiverse', multiverse],
      ['Worlds', worlds],
      ['mUSD', token ?? '(none)'],
      ['chain RPC', urls.rpc],
      ['GraphQL', urls.graphql],
      ['SQL', `${urls.analytics}/sql`],
      ['keeper', `${urls.keeper}/health`],
      ['data', dataDir],
    ]),
    '',
    'Try next:',
    table([
      [`npm run multiverse -- balance --as bob${at}`, 'what bob has in every verse'],
      [`npm run multiverse -- verse ${question}=nash${at}`, 'a verse that did not happen'],
      [
        `npm run multiverse -- sql "SELECT * FROM v_wev"${at}`,
        'what the answer was worth, from DuckDB',
      ],
    ]),
    '',
    'Ctrl-C stops everything; npm start goes on from here.',
  ].join('\n')
}

type Played = Omit<Summary, 'ok'>

async function readSummary(dataDir: string): Promise<Played | undefined> {
  try {
    return JSON.parse(await readFile(scenarioPath(dataDir), 'utf8')) as Played
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Writes beside and renames: half a summary would read as a scenario that has run. */
async function writeSummary(dataDir: string, summary: Played): Promise<void> {
  const path = scenarioPath(dataDir)
  await writeFile(`${path}.tmp`, `${JSON.stringify(summary, null, 2)}\n`)
  await rename(`${path}.tmp`, path)
}

/** Resolves when the user ends the program. */
function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
