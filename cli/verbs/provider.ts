import { z } from 'zod'
import { ROSTER } from '../../providers/roster.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { type ProviderOutput, providerOutput } from '../../sdk/output.ts'
import { withAnalytics } from '../analytics.ts'
import { type CommonOptions, dataFolder } from '../context.ts'
import { plain, type Result, table } from '../output.ts'
import { withRuntime } from '../runtime/session.ts'
import { isRunning, readStack } from '../stack/record.ts'
import { signed } from './select.ts'

/** Everything that is known of a provider, as one document. */
export const PROVIDER_SQL = `
  SELECT json_object(
    'id', p.provider_id, 'name', p.name, 'trit', p.trit, 'status', p.status, 'capabilities', p.capabilities,
    'endpoint', p.api_endpoint, 'auth', p.auth_method,
    'calls', coalesce(c.calls, 0), 'failed', coalesce(c.failed, 0), 'p95', c.p95, 'lastCall', c.last::VARCHAR,
    'links', coalesce(l.links, []), 'reason', d.reason, 'declared', d.declared) AS document
  FROM runtime_providers p
  JOIN provider_declared d USING (provider_id)
  LEFT JOIN (
    SELECT provider_id, count(*) AS calls, max(invoked_at) AS last, quantile_cont(latency_ms, 0.95) AS p95,
           count(*) FILTER (json_extract(output_result, '$.error') IS NOT NULL) AS failed
    FROM provider_invocations GROUP BY provider_id
  ) c USING (provider_id)
  LEFT JOIN (
    SELECT target_provider AS provider_id, list(source_component ORDER BY source_component) AS links
    FROM provider_links GROUP BY target_provider
  ) l USING (provider_id)
  WHERE p.provider_id = $1`

const documentSchema = z.string().transform((text) => providerOutput.parse(JSON.parse(text)))

/**
 * Shows one provider, as the running keeper finds it now, or as the last one found it. Exit code 1 when it is not available.
 * @throws UNKNOWN_PROVIDER (exit code 2), NO_STACK
 */
export async function providerStatusVerb(
  id: string,
  options: CommonOptions,
): Promise<Result<ProviderOutput>> {
  await lookAgain(id, options)
  return withAnalytics(options, async (analytics) => {
    const { rows } = await analytics.sql(PROVIDER_SQL, [id])
    if (rows[0] === undefined)
      throw new MultiverseError(
        'UNKNOWN_PROVIDER',
        `no provider ${plain(id)}: \`multiverse providers-list\` names them`,
      )
    const found = documentSchema.parse(rows[0][0])
    return { json: found, text: describe(found), exitCode: found.status === 'available' ? 0 : 1 }
  })
}

/** Has the keeper of a running stack look at a provider once more, which its row then tells. */
async function lookAgain(id: string, options: CommonOptions): Promise<void> {
  if (!ROSTER.some((row) => row.id === id)) return
  const stack = await readStack(dataFolder(options))
  if (stack === undefined || !(await isRunning(stack.supervisor))) return
  try {
    await withRuntime(options, (runtime) => runtime.status(id))
  } catch (error) {
    // A stack may have no keeper, or start it again: then its last word stands.
    if (!isMultiverseError(error, 'NO_KEEPER')) throw error
  }
}

function describe(provider: ProviderOutput): string {
  const { calls, failed, p95, lastCall, links, reason, declared } = provider
  return table([
    ['provider', `${provider.id} (${provider.name})`],
    ['status', reason === '' ? provider.status : `${provider.status}: ${plain(reason)}`],
    ['trit', provider.trit === null ? 'none' : signed(provider.trit)],
    ['endpoint', provider.endpoint ?? 'this machine'],
    ['credentials', provider.auth ?? 'none needed'],
    ['capabilities', JSON.stringify(provider.capabilities)],
    ['declared', JSON.stringify(declared)],
    ['calls', `${calls}, ${failed} failed`],
    ['95th percentile', p95 === null ? '' : `${p95.toFixed(1)} ms`],
    ['last call', lastCall ?? 'never'],
    ['links', links.join(', ') || 'none'],
  ])
}
