import { Argument } from 'commander'
import { residue } from '../../sdk/gf3.ts'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import { providerStatusVerb } from '../verbs/provider.ts'
import { verseSelectVerb } from '../verbs/select.ts'
import { type View, type ViewOptions, viewVerb } from '../verbs/views.ts'
import type { CommonOptions } from '../context.ts'
import { modes } from '../../providers/select.ts'

const SCOPES = ['registry', 'pipeline', 'branch'] as const
type Scope = (typeof SCOPES)[number]

/** The seeds' commands that look, under the seeds' names. */
const VIEWS: readonly (View & { name: string; description: string })[] = [
  {
    name: 'providers-list',
    description: 'list the providers and what their trits come to',
    sql: 'SELECT provider_id, name, trit, role, status FROM providers_list',
    verdict(rows) {
      const sum = rows.reduce((total, { trit }) => total + Number(trit), 0)
      const holds = residue(sum) === 0
      return { line: `GF(3): Σ = ${sum} ≡ ${residue(sum)} (mod 3) ${holds ? '✓' : '✗'}`, holds }
    },
  },
  {
    name: 'wev-analytics',
    description: 'extractable value over time',
    sql: 'FROM wev_analytics',
  },
  { name: 'provider-efficiency', description: 'cost by provider', sql: 'FROM provider_efficiency' },
  {
    name: 'provider-benchmark',
    description: 'latency by provider and operation, against a quarter of a second',
    sql: 'FROM provider_benchmark',
  },
  {
    name: 'world-runtime-metrics',
    description: 'boot, snapshot and branch times, and memory',
    sql: 'FROM world_runtime_metrics',
  },
  {
    name: 'world-runtime-entities',
    description: 'every world there was',
    sql: 'FROM world_runtime_entities ORDER BY created_at, entity_id',
  },
  {
    name: 'world-runtime-branches',
    description: 'what was branched from what',
    sql: 'FROM world_runtime_branches',
  },
  {
    name: 'world-runtime-resolutions',
    description: 'which verses came true',
    sql: 'FROM world_runtime_resolutions',
  },
]

/** Verbs that ask the analytics, running or not. */
export function registerAnalyticsCommands({ verb, finish }: Registry): void {
  const viewCommand = (name: string, description: string) =>
    verb(name, description)
      .option('--csv', 'print CSV')
      .option('--parquet <file>', 'write a Parquet file')

  for (const view of VIEWS)
    viewCommand(view.name, view.description)
      .addHelpText(
        'after',
        examples(
          [view.name, 'a table, of what runs or of what an earlier run left'],
          [`${view.name} --parquet ${view.name}.parquet`, 'the same rows for other programs'],
        ),
      )
      .action(async (options: ViewOptions) => finish(await viewVerb(view, options), options))

  viewCommand(
    'gf3-audit',
    'check that the trits of every bundle come to 0; exits 1 if one does not',
  )
    .addArgument(new Argument('[scope]', 'one kind of bundle only').choices(SCOPES))
    .addHelpText(
      'after',
      examples(
        ['gf3-audit', 'the registry, each lane of a pipeline and each branching'],
        ['gf3-audit branch', 'the branchings only'],
      ),
    )
    .action(async (scope: Scope | undefined, options: ViewOptions) =>
      finish(await viewVerb(auditView(scope), options), options),
    )
}

/** Verbs about providers and the plans made of them. */
export function registerProviderCommands({ verb, finish }: Registry): void {
  verb('provider-status', 'one provider: what it can do, how it did, what is linked to it')
    .argument('<provider>', 'its id, as providers-list shows it')
    .addHelpText('after', examples(['provider-status quickjs', 'exits 1 when it is not available']))
    .action(async (id: string, options: CommonOptions) =>
      finish(await providerStatusVerb(id, options), options),
    )

  verb('verse-select', 'which providers work in which order, by the name of a mode')
    .addArgument(new Argument('<mode>', 'the plan').choices(modes))
    .addHelpText(
      'after',
      examples(
        ['verse-select full', 'the five of the seeds'],
        ['verse-select local', 'those of this machine'],
      ),
    )
    .action(async (mode: string, options: CommonOptions) => finish(verseSelectVerb(mode), options))
}

function auditView(scope: Scope | undefined): View {
  return {
    sql: `FROM gf3_audit${scope === undefined ? '' : ` WHERE scope = '${scope}'`}`,
    verdict(rows) {
      const violated = rows.filter((row) => row['violated'] === true)
      const open = rows.filter((row) => row['open'] === true)
      const whole = rows.length - open.length
      const rest = open.length === 0 ? '' : `; ${open.length} are open`
      return {
        line:
          violated.length === 0
            ? `GF(3) is conserved in ${whole} of ${whole} bundles ✓${rest}`
            : `GF(3) is violated in ${violated.length} of ${whole} bundles ✗${rest}`,
        holds: violated.length === 0,
      }
    },
  }
}
