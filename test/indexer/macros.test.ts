import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { BUNDLES } from '../../providers/triads.ts'
import { useScratch } from './scratch.ts'

// Words of 64 bits, trits, walks and distances: macros that need no rows, on figures worked out by hand or taken from elsewhere.

const { ask, write } = useScratch()

describe('64-bit words', () => {
  test.each([
    ['splitmix64(1069)', '0x97629500787d9c76'],
    ['chromatic_step(1069, -1)', '0xe2e74fe9f9fb3c16'],
    ['chromatic_step(1069, 0)', '0x03a242a1a7d34585'],
    ['chromatic_step(1069, 1)', '0x9e68213bcc3af878'],
    // The reference implementation's first three numbers from 0.
    ['splitmix64(0)', '0xe220a8397b1dcdaf'],
    ['splitmix64_at(0, 2)', '0x6e789e6aa1b965f4'],
    ['splitmix64_at(0, 3)', '0x06c45d188009454f'],
    ['fold64(256, 4)', '0x0000000000000110'],
    ['mix64(0)', '0x0000000000000000'],
    ['mix64(gamma64())', '0xe220a8397b1dcdaf'],
    ['gamma64()', '0x9e3779b97f4a7c15'],
    ['trit64(1)', '0x9e3779b97f4a7c15'],
    ['trit64(0)', '0x0000000000000000'],
    // What makes 2^64 with γ.
    ['trit64(-1)', '0x61c8864680b583eb'],
    ['add64(18446744073709551615::UBIGINT, 2)', '0x0000000000000001'],
    ['mul64(9223372036854775808::UBIGINT, 3)', '0x8000000000000000'],
    ['mul64(18446744073709551615::UBIGINT, 18446744073709551615::UBIGINT)', '0x0000000000000001'],
    ["word64('0x00000000000000ff00000000000000aa')", '0x00000000000000ff'],
    ['trace_seed(1069, -1)', '0xf92b1b46f9332061'],
    ['trace_seed(1069, 0)', '0x97629500787d9c76'],
    ['trace_seed(1069, 1)', '0x359a0eb9f7c8188b'],
    ...[
      [0, '0xf061ebbc2ca74d78'],
      [1, '0x34dc5aa0b7117465'],
      [2, '0x34370514cc4e9a8c'],
      [5, '0xb5222cb8ae6e1886'],
      [9, '0xd726fcf3f1d357d5'],
      [100, '0xd8113f2a2d028a37'],
      [1_000, '0xbfbeef187ed62ad5'],
    ].map(([k, value]) => [`splitmix64_at('0x0598F318E2B9E884'::UBIGINT, ${k})`, value]),
  ])('%s is %s', async (call, value) => {
    expect(await ask(`SELECT hex64(${call})`)).toEqual([[value]])
  })

  test('the agents of the genesis seed', async () => {
    expect(
      await ask('SELECT role, trit, hex64(seed) FROM chromatic_agents(1069) ORDER BY trit'),
    ).toEqual([
      ['validator', -1, '0x3c6ef372fe94fc07'],
      ['coordinator', 0, '0x9e3779b97f4a7838'],
      ['generator', 1, '0x000000000000042d'],
    ])
  })
})

describe('trits', () => {
  test.each([
    ['gf3_residue(-4)', 2],
    ['gf3_missing(0)', 0],
    ['gf3_missing(1)', -1],
    ['gf3_missing(-1)', 1],
    ['gf3_missing(-4)', 1],
    ['gf3_role(1)', 'Generator'],
    ['gf3_role(0)', 'Coordinator'],
    ['gf3_role(-1)', 'Validator'],
    ['gf3_colour(1)', '#D82626'],
    ['gf3_colour(0)', '#26D826'],
    ['gf3_colour(-1)', '#2626D8'],
    ['gf3_conserved([1, 1, 1])', true],
    ['gf3_balanced([1, 1, 1])', false],
    ['gf3_conserved([-1, -1, 1])', false],
    ['gf3_balanced([-1, -1, 1, 1, 0])', true],
    ["walk_commits([1, 0, -1], ['a', 'b', 'c'])", true],
    ["walk_commits([1, 0, -1], ['a', 'b', 'a'])", false],
    ["walk_commits([1, 0, 1], ['a', 'b', 'c'])", false],
    ['three_match(1, 10, 19, 2)', true],
    ['three_match(1, 10, 19, 3)', false],
    ['three_match(4, 4, 4, 9)', true],
    // Bits: 0b11 against 0; epochs 4 apart; nothing in common: 2² + 4² + 10².
    ["round(world_distance(3, 4, ['a'], 0, 0, ['b']), 6)", 10.954451],
    // Half of what is true in either: 10 × (1 - 1/3).
    ["round(world_distance(0, 0, ['a', 'b'], 0, 0, ['b', 'c']), 6)", 6.666667],
    ['world_distance(7, 1, [], 7, 1, [])', 0],
    ['valid_hop(1, 2, 3)', true],
    ['valid_hop(1, 2, 3.1)', false],
    ['hop_reaches(2.5, 1)', true],
    ['hop_reaches(2.5, 0)', false],
    ['hop_extractable(3, 0.5)::DOUBLE', 1.5],
    ['hop_detour([1, 2, 2], 3)::INT', 2],
  ])('%s is %s', async (call, value) => {
    expect(await ask(`SELECT ${call}`)).toEqual([[value]])
  })
})

test("the triads are the providers' own, each conserved and balanced", async () => {
  const stored = await ask(
    `SELECT t.triad_id, t.name, list(m.member ORDER BY m.place), list(m.trit ORDER BY m.place)
     FROM triads t JOIN triad_members m USING (triad_id) GROUP BY t.triad_id, t.name ORDER BY t.triad_id`,
  )
  const known = BUNDLES.map(({ id, name, members }) => [
    id,
    name,
    members.map((member) => member.id),
    members.map(({ trit }) => trit),
  ])
  expect(stored).toEqual(known.toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)))
  expect(await ask('SELECT DISTINCT conserved, balanced FROM v_triads')).toEqual([[true, true]])
  expect(
    await ask("SELECT members, is_triad FROM v_triads WHERE triad_id IN ('core', 'full')"),
  ).toEqual([
    ['ramanujan-expander(-1) ⊗ world-extractable-value(0) ⊗ world-runtime(+1)', true],
    ['ritual(-1) ⊗ gensyn(-1) ⊗ modal(+1) ⊗ morph(+1) ⊗ primeintellect(0)', false],
  ])
})

test('every view and macro is asked for its figures in some test', async () => {
  const files = ['macros', 'views', 'worldViews', 'exposure', 'journal'].map(
    (name) => `${name}.test.ts`,
  )
  const tests = await Promise.all(
    [...files, 'oracleGame.ts'].map((name) => readFile(new URL(name, import.meta.url), 'utf8')),
  )
  const words = new Set(tests.join('\n').match(/\w+/g))
  const made = await write((tx) =>
    tx.rows<{ name: string }>(`
      SELECT view_name AS name FROM duckdb_views() WHERE NOT internal
      UNION SELECT function_name FROM duckdb_functions() WHERE NOT internal AND function_type LIKE '%macro'`),
  )
  expect(made.length).toBeGreaterThan(60)
  expect(made.filter(({ name }) => !words.has(name))).toEqual([])
})
