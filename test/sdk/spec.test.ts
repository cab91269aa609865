import { describe, expect, test } from 'vitest'
import { encodeAbiParameters, keccak256, toBytes } from 'viem'
import { labelsHash } from '../../sdk/ids.ts'
import {
  MAX_SPEC_BYTES,
  parseCost,
  parseSpec,
  programCode,
  specDataUri,
  specLabels,
} from '../../sdk/spec.ts'
import { WAD } from '../../sdk/wev.ts'

const good = {
  version: 1,
  title: 'Which regime?',
  verses: [
    { name: 'nash', strategy: 'selfish', trit: -1, probability: '0.45' },
    { name: 'optimal', strategy: 'cooperative', trit: 0, probability: '0.35' },
    { name: 'chaos', strategy: 'random', trit: 1, probability: '0.20' },
  ],
  void: { name: 'void', probability: '0' },
  setup: 'globalThis.n = 1',
  program: 'return { cost: n }',
  needs: { parallel: true, optimize: false, verify: false },
  outcome: { source: 'manual' },
  seed: 1069,
}

const parse = (change: object = {}) => parseSpec(JSON.stringify({ ...good, ...change }))
const code = (wanted: string) => expect.objectContaining({ code: wanted }) as Error

describe('a spec', () => {
  test('gives labels with void last and the hash that its question binds', () => {
    const { spec, labels, specHash, json } = parse()
    expect(labels).toEqual(['nash', 'optimal', 'chaos', 'void'])
    expect(specLabels(spec)).toEqual(labels)
    const word = { type: 'bytes32' } as const
    expect(specHash).toBe(
      keccak256(encodeAbiParameters([word, word], [keccak256(toBytes(json)), labelsHash(labels)])),
    )
  })

  test('its hash is over the exact bytes', () => {
    const spaced = parseSpec(JSON.stringify(good, null, 2))
    expect(spaced.spec).toEqual(parse().spec)
    expect(spaced.specHash).not.toBe(parse().specHash)
  })

  test('travels in a data: URI', () => {
    const json = JSON.stringify({ ...good, title: 'Ünïcode ✓' })
    const uri = specDataUri(json)
    expect(uri).toMatch(/^data:application\/json;base64,/)
    expect(Buffer.from(uri.split(',')[1]!, 'base64').toString('utf8')).toBe(json)
  })

  test.each([
    ['an unknown field', { extra: 1 }],
    ['probabilities that do not sum to 1', { verses: [{ ...good.verses[0], probability: '0.9' }] }],
    ['a probability over 1', { verses: [{ ...good.verses[0], probability: '1.5' }] }],
    [
      'a probability with 19 decimals',
      { verses: [{ ...good.verses[0], probability: `0.${'1'.repeat(19)}` }] },
    ],
    ['a void outcome with a probability', { void: { name: 'void', probability: '0.1' } }],
    ['a void outcome with a trit', { void: { name: 'void', probability: '0', trit: 0 } }],
    ['two verses of one name', { void: { name: 'nash', probability: '0' } }],
    ['a trit that is none', { verses: [{ ...good.verses[0], trit: 2, probability: '1' }] }],
    ['no verse', { verses: [] }],
    ['no program', { program: '' }],
    ['an unknown source', { outcome: { source: 'dice' } }],
    ['a negative seed', { seed: -1 }],
    ['another version', { version: 2 }],
  ])('refuses %s', (_, change) => {
    expect(() => parse(change)).toThrow(code('SPEC_INVALID'))
  })

  test('refuses what is no JSON, and what is too large, in bytes', () => {
    expect(() => parseSpec('{')).toThrow(code('SPEC_NOT_JSON'))
    expect(() => parse({ setup: 'é'.repeat(MAX_SPEC_BYTES / 2) })).toThrow(code('SPEC_TOO_LARGE'))
  })

  test('the seeds\u2019 probabilities sum to 1 exactly', () => {
    const sum = parse().spec.verses.reduce((total, { probability }) => {
      return total + parseCost(probability)
    }, 0n)
    expect(sum).toBe(WAD)
  })
})

test('a program is called with its verse and seed', async () => {
  const source = programCode(
    parse({ program: 'return { cost: input.seed, name: input.verse.name }' }).spec,
    {
      name: 'nash',
      strategy: 'selfish',
      trit: -1,
      outcome: 0,
    },
  )
  // oxlint-disable-next-line no-eval -- it is the test's own program
  await expect((0, eval)(source) as Promise<unknown>).resolves.toEqual({ cost: 1069, name: 'nash' })
})

describe('a cost', () => {
  test.each([
    [1.5, 1_500_000_000_000_000_000n],
    ['1.5', 1_500_000_000_000_000_000n],
    [0, 0n],
    ['0.000000000000000001', 1n],
  ])('%s', (cost, fixed) => {
    expect(parseCost(cost)).toBe(fixed)
  })

  test.each([
    -1,
    Number.NaN,
    Infinity,
    1e18,
    '1e3',
    '-1',
    '',
    '1.0000000000000000001',
    null,
    undefined,
    {},
    true,
  ])('%s is none', (cost) => {
    expect(() => parseCost(cost)).toThrow(code('INVALID_COST'))
  })
})
