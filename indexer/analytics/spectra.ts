import type { Transaction } from './database.ts'
import { MAX_VERTICES, spectrum } from './spectrum.ts'

type Edge = [number, number]

/** Computes anew the spectra of the trees that these worlds are in. */
export async function refreshSpectra(tx: Transaction, entityIds: readonly string[]): Promise<void> {
  const roots = await tx.rows<{ root: string }>(
    `WITH RECURSIVE up(entity_id, parent_id) AS (
       SELECT entity_id, parent_id FROM world_runtime_entities
       WHERE entity_id IN (SELECT unnest(from_json($1::JSON, '["VARCHAR"]')))
       UNION
       SELECT e.entity_id, e.parent_id FROM up JOIN world_runtime_entities e ON e.entity_id = up.parent_id
     )
     SELECT DISTINCT entity_id AS root FROM up
     WHERE parent_id IS NULL OR parent_id NOT IN (SELECT entity_id FROM world_runtime_entities)`,
    [JSON.stringify(entityIds)],
  )
  for (const { root } of roots) await refreshTree(tx, root)
}

async function refreshTree(tx: Transaction, root: string): Promise<void> {
  const branches = await tx.rows<{ parent: string; children: string[] }>(
    `WITH RECURSIVE down(entity_id) AS (
       SELECT $1
       UNION
       SELECT unnest(b.child_entity_ids) FROM down JOIN world_branches b ON b.parent_entity_id = down.entity_id
     )
     SELECT parent_entity_id AS parent, child_entity_ids AS children FROM world_branches
     WHERE parent_entity_id IN (SELECT entity_id FROM down) ORDER BY branched_at, branch_id`,
    [root],
  )
  const { worlds, hops } = graphOf(root, branches)
  if (worlds < 2) return
  const found = worlds > MAX_VERTICES ? null : spectrum(worlds, hops)
  await tx.run(
    `INSERT OR REPLACE INTO branch_spectra VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      root,
      worlds,
      hops.length,
      found?.lambda1 ?? null,
      found?.lambda2 ?? null,
      found?.lambdaMin ?? null,
      found?.gap ?? null,
      found?.isRamanujan ?? null,
      found?.mixingSteps ?? null,
      found?.priceOfAnarchy ?? null,
    ],
  )
}

/** Numbers the worlds of a tree and joins each with its children, and those of one branching with each other. */
function graphOf(
  root: string,
  branches: readonly { parent: string; children: readonly string[] }[],
): { worlds: number; hops: Edge[] } {
  const numbers = new Map([[root, 0]])
  const numberOf = (id: string) => {
    const known = numbers.get(id) ?? numbers.size
    numbers.set(id, known)
    return known
  }
  const hops = new Map<string, Edge>()
  for (const { parent, children } of branches) {
    const family = [...new Set([parent, ...children])].map(numberOf)
    for (const [i, one] of family.entries())
      for (const other of family.slice(0, i)) hops.set(`${one},${other}`, [one, other])
  }
  return { worlds: numbers.size, hops: [...hops.values()] }
}
