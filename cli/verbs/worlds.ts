import type { WorldsOutput } from '../../sdk/output.ts'
import { type CommonOptions, openContext } from '../context.ts'
import { readHistory } from '../history.ts'
import { type Result, table } from '../output.ts'
import { formatPath } from '../path.ts'
import { createUniverse } from '../universe.ts'
import { nameOf } from '../wallets.ts'
import { listWorlds } from '../worlds.ts'
import { short } from './question.ts'

export type WorldsOptions = CommonOptions & { keeper?: string }

/** The worlds of every verse: what keepers reported, and what the one here runs. */
export async function worldsVerb(options: WorldsOptions): Promise<Result<WorldsOutput>> {
  const context = await openContext(options)
  const { catalog, isLocal } = context
  const keeper = options.keeper === undefined ? undefined : context.address(options.keeper)
  const universe = createUniverse(await readHistory(context))
  const rows = await listWorlds(context, universe, keeper)
  await catalog.readAll()
  const worlds = await Promise.all(
    rows.map(async ({ verse, path, parent, question, outcome, probability, world }) => ({
      ...world,
      verse,
      name: await formatPath(path, catalog),
      parent,
      question,
      outcome,
      label: (await catalog.labels(question))?.[outcome] ?? null,
      probability,
      state: universe.state(path),
    })),
  )
  return {
    json: { worlds },
    text:
      worlds.length === 0
        ? 'no worlds: a keeper starts them when somebody pushes down'
        : table(
            worlds.map((each) => [
              each.name,
              nameOf(each.keeper, isLocal),
              each.provider ?? '',
              `${each.trit}`,
              each.cost ?? (each.verdict === null ? 'running' : 'failed'),
              each.stateRoot === null ? '' : short(each.stateRoot),
              each.probability ?? '',
              each.state,
            ]),
            ['verse', 'keeper', 'provider', 'trit', 'cost', 'state root', 'probability', 'state'],
          ),
  }
}
