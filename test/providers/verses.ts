import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { braess } from '../../providers/scenarios/braess.ts'
import { cournot } from '../../providers/scenarios/cournot.ts'
import { pigou } from '../../providers/scenarios/pigou.ts'
import { publicGoods } from '../../providers/scenarios/publicGoods.ts'
import type { Scenario } from '../../providers/scenarios/scenario.ts'
import { programCode, type Spec } from '../../sdk/spec.ts'

/** One of each kind. */
export const SCENARIOS: Scenario[] = [
  pigou(2),
  braess(),
  publicGoods({ players: 3, needed: 4 }),
  cournot({ firms: 2, choke: 10, unitCost: 2 }),
]

/** Costs of a question's verses, each played in a branch of its own. `line` stands before every program. */
export async function costsIn(
  provider: WorldRuntimeProvider,
  spec: Spec,
  line = '',
): Promise<number[]> {
  const { id } = await provider.create({ seed: 1n })
  await provider.execute(id, line + spec.setup)
  const { id: snapshotId } = await provider.snapshot(id)
  const children = await provider.branch(snapshotId, spec.verses.length)
  const runs = children.map(async (child, outcome) => {
    const code = programCode(spec, { ...spec.verses[outcome]!, outcome })
    const { value } = await provider.execute(child.id, line + code)
    return (value as { cost: number }).cost
  })
  return Promise.all(runs)
}

/** What they are in QuickJS, where every scenario is held to its closed form. */
export async function costsInQuickjs(...specs: Spec[]): Promise<number[][]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'quickjs-'))
  const quickjs = createQuickjsProvider({ workers: 1 })
  try {
    await quickjs.init({ dataDir })
    return await Promise.all(specs.map((spec) => costsIn(quickjs, spec)))
  } finally {
    await quickjs.shutdown()
    await rm(dataDir, { recursive: true })
  }
}
