import { formatUnits, isAddressEqual } from 'viem'
import type { VersesOutput, VerseState } from '../../sdk/output.ts'
import { type CommonOptions, type Context, openContext } from '../context.ts'
import { readHistory } from '../history.ts'
import { outputWidth, paint, plain, type Result } from '../output.ts'
import { formatPath, shortId } from '../path.ts'
import { createSupplies, showSupply } from '../supply.ts'
import { type Branch, drawBranches } from '../tree.ts'
import { createUniverse, drawTree, type TreeNode, type Universe } from '../universe.ts'
import { nameOf } from '../wallets.ts'
import { listWorlds, type WorldRow } from '../worlds.ts'
import { describePath } from './describe.ts'
import { describeQuestion, showState } from './question.ts'

export type VersesOptions = CommonOptions & { keeper?: string }
type VerseNode = VersesOutput['verses'][number]

/** The whole multiverse as a tree. */
export async function versesVerb(options: VersesOptions): Promise<Result<VersesOutput>> {
  const context = await openContext(options)
  const keeper = options.keeper === undefined ? undefined : context.address(options.keeper)
  const universe = createUniverse(await readHistory(context))
  const worlds = await listWorlds(context, universe, keeper)
  await context.catalog.readAll()
  const supplies = createSupplies(context, universe)
  const verses = await Promise.all(
    drawTree(universe).map((node) => describeNode(context, universe, node, { worlds, supplies })),
  )
  return {
    json: { block: universe.block, verses },
    text: await showTree(context, universe, verses),
  }
}

async function describeNode(
  { catalog }: Context,
  universe: Universe,
  { verse, path, depth, opened, isRepeated }: TreeNode,
  {
    worlds,
    supplies,
  }: { worlds: readonly WorldRow[]; supplies: ReturnType<typeof createSupplies> },
): Promise<VerseNode> {
  const here = worlds.filter(
    (row) =>
      row.verse === verse && row.parent === opened?.parent && row.question === opened.question,
  )
  const labels = opened === null ? undefined : await catalog.labels(opened.question)
  return {
    verse,
    name: await formatPath(path, catalog),
    path: await describePath(path, catalog),
    depth,
    parent: opened?.parent ?? null,
    question: opened?.question ?? null,
    outcome: opened?.outcome ?? null,
    label: labels?.[opened?.outcome ?? 0] ?? null,
    probability: opened === null ? '1' : probabilityOf(universe, opened, here),
    state: universe.state(path),
    supply: await supplies(verse),
    worlds: here.map(({ world }) => world),
    repeated: isRepeated,
  }
}

/** As the question's oracle reported it, else whoever was the first. */
function probabilityOf(
  universe: Universe,
  { parent, question, outcome }: NonNullable<TreeNode['opened']>,
  here: readonly WorldRow[],
): string | null {
  const oracle = universe.questions.find((each) => each.question === question)?.oracle
  const isOracles = ({ world }: WorldRow) =>
    oracle !== undefined && isAddressEqual(world.keeper, oracle)
  const chosen = here.find(isOracles) ?? here[0]
  if (chosen !== undefined) return chosen.probability
  // An outcome without a world, such as void, is in the report all the same.
  const report = universe.reports.find(
    (each) => each.parent === parent && each.question === question,
  )
  const reported = report?.worlds[outcome]
  return reported === undefined ? null : formatUnits(reported.probability, 18)
}

/** Every question below its parent verse, every verse below its question. */
async function showTree(
  context: Context,
  universe: Universe,
  [root, ...rest]: readonly VerseNode[],
): Promise<string> {
  const questions = new Map(
    await Promise.all(
      universe.questions.map(
        async (facts) => [facts.question, await describeQuestion(context, facts)] as const,
      ),
    ),
  )
  /** `nodes` are all that is below one verse, depth first. */
  const branchesOf = (nodes: readonly VerseNode[]): Branch[] => {
    const siblings = nodes.filter(({ depth }) => depth === nodes[0]?.depth)
    return [...Map.groupBy(siblings, ({ question }) => question)].map(([id, children]) => {
      const question = id === null ? undefined : questions.get(id)
      const title = question === undefined ? '' : plain(question.title ?? '(no title)')
      return {
        text: `${shortId(id ?? '0x')} ${title}${question === undefined ? '' : ` (${showState(question)})`}`,
        children: children.map((node) => ({
          text: showNode(node, context.isLocal),
          children: branchesOf(below(node, nodes)),
        })),
      }
    })
  }
  const head = `root: ${showSupply(root?.supply ?? [])} pushed down`
  return rest.length === 0
    ? `${head}\nno verses yet: push something down with \`multiverse push-down\``
    : [head, ...drawBranches(branchesOf(rest), outputWidth())].join('\n')
}

/** What follows a node, up to the next one that is not below it. */
function below(node: VerseNode, nodes: readonly VerseNode[]): VerseNode[] {
  const after = nodes.slice(nodes.indexOf(node) + 1)
  const end = after.findIndex(({ depth }) => depth <= node.depth)
  return end === -1 ? after : after.slice(0, end)
}

function showNode(node: VerseNode, isLocal: boolean): string {
  const { label, outcome, probability, supply, state, worlds, repeated } = node
  const name = plain(label ?? `${outcome}`)
  if (repeated) return `${name}: see above`
  const style = STYLES[state]
  const parts = [
    ...(probability === null ? [] : [`p ${probability}`]),
    showSupply(supply),
    style === undefined ? state : paint(style, state),
    ...worlds.map(
      ({ provider, world, keeper }) =>
        `world ${world ?? `of ${nameOf(keeper, isLocal)}`}${provider === null ? '' : ` (${provider})`}`,
    ),
  ]
  return `${name}: ${parts.join(', ')}`
}

const STYLES: Partial<Record<VerseState, 'green' | 'dim'>> = {
  'came-true': 'green',
  evaporated: 'dim',
}
