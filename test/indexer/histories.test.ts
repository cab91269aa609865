import { expect, test, vi } from 'vitest'
import type { Address } from 'viem'
import { mix64 } from '../../sdk/gf3.ts'
import { createLife, fillPockets, type Life } from './life.ts'
import { createReference, futureKey, QUERIES } from './reference.ts'
import { createStage, type Stage } from './stage.ts'
import { deployToken } from '../helpers/chain.ts'

// Many random lives of the ledger, one after another on one chain, reorgs among them. After each, DuckDB, the indexer and the
// contract hold the same for every owner and position, and every table and view that comes of the chain shows what a slow
// reference computes from the raw logs.

// Generous, for machines where much else runs: nothing here waits for time to pass.
vi.setConfig({ testTimeout: 900_000 })

/** Lives in all; a chain lives through some of them before the next begins, so that the slow reference stays quick. */
const HISTORIES = Number(process.env['HISTORIES'] ?? 20)
const PER_CHAIN = 20
const STEPS = 8
/** Owners whose exposure has more combinations are left out: both sides take seconds over those. */
const MOST_FUTURES = 512

const chains = Array.from({ length: Math.ceil(HISTORIES / PER_CHAIN) }, (_, chain) => {
  const first = chain * PER_CHAIN
  return [first, Math.min(first + PER_CHAIN, HISTORIES) - 1] as const
})

test.each(chains)('lives %i to %i: DuckDB = ponder = contract = logs', async (first, last) => {
  const stage = await createStage()
  try {
    const second = await deployToken(stage.chain, ['Other Dollar', 'oUSD', 6])
    const tokens = [stage.chain.deployment.addresses.token, second]
    await fillPockets(stage.chain, tokens)
    await stage.ponder.ready()
    const kinds = new Set<string>()
    const lives: Life[] = []
    for (let seed = first; seed <= last; seed++) {
      lives.push(await liveThrough(stage, BigInt(seed), tokens, kinds))
      await expectEqual(stage, lives)
    }
    // Everything a life can do was done, in twenty of them.
    if (lives.length < PER_CHAIN) return
    const [deepest] = await stage.query('SELECT max(depth)::INT FROM verses')
    expect(deepest![0]).toBeGreaterThanOrEqual(3)
    expect([...kinds].toSorted()).toEqual(ALL_KINDS)
  } finally {
    await stage.close()
  }
})

const ALL_KINDS = [
  'ask',
  'describe',
  'exit',
  'expire',
  'narrow',
  'pullUp',
  'pullUpFor',
  'pushDown',
  'report',
  'transfer',
  'transferFrom',
  'updateProbabilities',
]

/** Some steps, a reorg of drawn depth in two lives of three, and some steps again. */
async function liveThrough(
  stage: Stage,
  seed: bigint,
  tokens: readonly Address[],
  kinds: Set<string>,
): Promise<Life> {
  const life = await createLife(stage.chain, { seed, tokens })
  const live = async (steps: number) => {
    for (let done = 0; done < steps; done++) kinds.add(await life.step())
  }
  await live(STEPS)
  const drawn = Number(mix64(seed) % 18n)
  if (drawn >= 6) {
    await stage.reorg(drawn - 5)
    await life.resync()
    await live(STEPS / 2)
  }
  return life
}

async function expectEqual(stage: Stage, lives: readonly Life[]): Promise<void> {
  const checked = await stage.check(lives.flatMap((life) => life.keys()))
  expect(checked).toMatchObject({ ok: true, differences: [], faults: [], problems: [] })
  const reference = await createReference(stage.chain)
  for (const [name, sql] of Object.entries(QUERIES)) {
    const rows = await stage.query(sql)
    expect({ [name]: sorted(rows) }).toEqual({
      [name]: sorted(reference.rows[name as keyof typeof QUERIES]),
    })
  }
  const exposed = reference.holders.filter((holder) => reference.futures(...holder) <= MOST_FUTURES)
  for (const [owner, token] of exposed.slice(-2)) {
    const rows = await stage.query(
      'SELECT to_json(future)::VARCHAR, amount::VARCHAR, combinations::INT FROM exposure($1, $2)',
      [owner, token],
    )
    const exposure = reference.exposure(owner, token)
    const keys = rows.map(([future]) => futureKey(Object.entries(JSON.parse(future as string))))
    expect(new Set(keys).size).toBe(exposure.size)
    expect(rows.map(([, ...rest]) => rest)).toEqual(
      keys.map((key) => [String(exposure.get(key)), exposure.size]),
    )
  }
}

function sorted(rows: readonly unknown[][]): string[] {
  return rows.map((row) => JSON.stringify(row)).toSorted()
}
