import { residue } from '../sdk/gf3.ts'
import type { View } from './verbs/views.ts'

// The seeds' commands that look, and what each of them asks.

export const SCOPES = ['registry', 'pipeline', 'branch'] as const
export type Scope = (typeof SCOPES)[number]

/** The seeds' commands that look, under the seeds' names. */
export const SEED_VIEWS: readonly (View & { name: string; description: string })[] = [
  {
    name: 'providers-list',
    description: 'list the providers and what their trits come to',
    sql: 'SELECT provider_id, name, trit, role, status FROM providers_list',
    verdict: {
      sql: 'SELECT coalesce(sum(trit), 0)::INT AS sum FROM providers_list',
      judge(row) {
        const sum = Number(row['sum'])
        const holds = residue(sum) === 0
        return { line: `GF(3): Σ = ${sum} ≡ ${residue(sum)} (mod 3) ${holds ? '✓' : '✗'}`, holds }
      },
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

/** Which bundles of trits come to 0, of one kind or of all; what is wrong comes first. */
export function auditView(scope: Scope | undefined): View {
  const from = `FROM gf3_audit${scope === undefined ? '' : ` WHERE scope = '${scope}'`}`
  return {
    sql: `${from} ORDER BY violated DESC, scope, id`,
    verdict: {
      sql: `SELECT count(*)::INT AS bundles, count(*) FILTER (open)::INT AS open, count(*) FILTER (violated)::INT AS violated ${from}`,
      judge(row) {
        const [open, violated] = [Number(row['open']), Number(row['violated'])]
        const whole = Number(row['bundles']) - open
        const rest = open === 0 ? '' : `; ${open} are open`
        return {
          line:
            violated === 0
              ? `GF(3) is conserved in ${whole} of ${whole} bundles ✓${rest}`
              : `GF(3) is violated in ${violated} of ${whole} bundles ✗${rest}`,
          holds: violated === 0,
        }
      },
    },
  }
}
