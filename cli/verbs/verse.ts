import { type Address, formatUnits, type Hex, zeroHash } from 'viem'
import { readContract } from 'viem/actions'
import { worldsAbi } from '../../sdk/abi.ts'
import { contractError } from '../../sdk/actions.ts'
import { type Path, removeAnswer, verseId } from '../../sdk/ids.ts'
import type { VerseOutput } from '../../sdk/output.ts'
import { type CommonOptions, type Context, openContext } from '../context.ts'
import { verseState } from '../ledger.ts'
import { type Result, table } from '../output.ts'
import { formatPath, resolvePath } from '../path.ts'
import { describeWorld } from '../worlds.ts'
import { describePath } from './describe.ts'

export type VerseOptions = CommonOptions & { keeper: string }

/** A verse as a keeper's notebook draws it, and whether it is still possible. */
export async function verseVerb(text: string, options: VerseOptions): Promise<Result<VerseOutput>> {
  const context = await openContext(options)
  const { catalog } = context
  const path = await resolvePath(text, catalog)
  const keeper = context.address(options.keeper)
  const verse = verseId(path)
  const [drawn, world] = await readNotebook(context, keeper, verse)
  const state = await verseState(context, path)
  const hasReport = path.length === 0 || (await isReported(context, keeper, path))
  const hasWorld = world.stateRoot !== zeroHash
  const name = await formatPath(path, catalog)
  const probability = hasReport ? formatUnits(drawn.probability, 18) : null
  const shownWorld = hasWorld ? describeWorld(world) : null
  const json: VerseOutput = {
    verse,
    name,
    path: await describePath(path, catalog),
    parent: hasReport && path.length > 0 ? drawn.parentId : null,
    children: [...drawn.children],
    probability,
    live: state !== 'evaporated',
    state,
    keeper,
    world: shownWorld,
  }
  return {
    json,
    text: table([
      ['verse', verse],
      ['path', name],
      ['state', state],
      ['parent', json.parent ?? '(none reported)'],
      ['children', `${drawn.children.length}`],
      ...drawn.children.map((child) => ['', child]),
      ['probability', probability ?? '(none reported)'],
      ...(shownWorld === null
        ? [['world', '(none)']]
        : [
            ['cost', shownWorld.cost],
            ['trit', `${shownWorld.trit}`],
            ['state root', shownWorld.stateRoot],
            ['verdict', shownWorld.verdict],
          ]),
    ]),
  }
}

async function readNotebook({ client, deployment }: Context, keeper: Address, verse: Hex) {
  const call = { address: deployment.addresses.worlds, abi: worldsAbi } as const
  try {
    return await Promise.all([
      readContract(client, { ...call, functionName: 'verse', args: [keeper, verse] }),
      readContract(client, { ...call, functionName: 'world', args: [keeper, verse] }),
    ])
  } catch (error) {
    throw contractError(error)
  }
}

/** Whether the keeper reported a partition that opens this verse, from whichever parent. */
async function isReported(
  { client, deployment }: Context,
  keeper: Address,
  path: Path,
): Promise<boolean> {
  try {
    const hashes = await Promise.all(
      path.map(({ question }) =>
        readContract(client, {
          address: deployment.addresses.worlds,
          abi: worldsAbi,
          functionName: 'reportHash',
          args: [keeper, verseId(removeAnswer(path, question)), question],
        }),
      ),
    )
    return hashes.some((hash) => hash !== zeroHash)
  } catch (error) {
    throw contractError(error)
  }
}
