import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { network } from 'hardhat'
import { encodeFunctionData, type Hex, parseAbi } from 'viem'
import { expect, test } from 'vitest'
import { bytesOf, type Node, sourceOf } from '../../scripts/mutation/ast.ts'
import { liftConstants } from '../../scripts/mutation/constants.ts'
import { handwritten, handwrittenOf } from '../../scripts/mutation/handwritten.ts'
import { describe, mutantKey, mutantsOf, mutated } from '../../scripts/mutation/mutants.ts'
import { judge, openResults, readSurvivors, type Tried } from '../../scripts/mutation/results.ts'
import { sample } from '../../scripts/mutation/sample.ts'
import { awaken, weave } from '../../scripts/mutation/weave.ts'

const FILE = 'contracts/Sample.sol'
const SOURCE = `// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

// Bytes, not characters: ünïcödé.
contract Sample {
    uint256 private constant LIMIT = 3;

    error TooMuch(uint256 sum, uint256 limit);

    event Summed(uint256 left, uint256 right);

    function sum(uint256 left, uint256 right) external returns (uint256 total) {
        (uint256 low, uint256 high) = left < right ? (left, right) : (right, left);
        if (low == 0 || high > 100) revert TooMuch(low, high);
        for (uint256 i = 0; i < LIMIT; ++i) total += low;
        uint256 rest = high % low;
        unchecked {
            total = total << 1;
        }
        emit Summed(left, right);
        return total - rest;
    }

    function isOdd(uint256 value) public pure returns (bool) {
        return !isEven(value);
    }

    function isEven(uint256 value) public pure returns (bool) {
        return value & 1 == 0;
    }
}
`

type Output = {
  errors?: { severity: string; formattedMessage: string }[]
  sources: Record<string, { ast: Node }>
  contracts: Record<string, Record<string, { evm: { bytecode: { object: string } } }>>
}

const solc = createRequire(import.meta.url)('solc') as { compile: (input: string) => string }

function compile(text: string): { ast: Node; code: string } {
  const input = {
    language: 'Solidity',
    sources: { [FILE]: { content: sourceOf(text) } },
    settings: {
      viaIR: true,
      optimizer: { enabled: true },
      metadata: { bytecodeHash: 'none' },
      outputSelection: { '*': { '': ['ast'], '*': ['evm.bytecode.object'] } },
    },
  }
  const output = JSON.parse(solc.compile(JSON.stringify(input))) as Output
  const failure = output.errors?.find(({ severity }) => severity === 'error')
  if (failure !== undefined) throw new Error(failure.formattedMessage)
  return {
    ast: output.sources[FILE]!.ast,
    code: output.contracts[FILE]!['Sample']!.evm.bytecode.object,
  }
}

const shipped = bytesOf(SOURCE)
const text = liftConstants(compile(shipped).ast, shipped)
const mutants = mutantsOf(FILE, compile(text).ast, text)
const changes = mutants.map((mutant) => {
  const { before, after } = describe(text, mutant)
  return `${mutant.operator}: ${before} -> ${after}`
})

test('every operator has its say', () => {
  const check = 'if (low == 0 || high > 100) revert TooMuch(low, high);'
  expect(changes).toEqual(
    expect.arrayContaining([
      `boundary: ${check} -> if (low == 0 || high >= 100) revert TooMuch(low, high);`,
      `opposite: ${check} -> if (low != 0 || high > 100) revert TooMuch(low, high);`,
      `operator: ${check} -> if (low == 0 && high > 100) revert TooMuch(low, high);`,
      `dropped operand: ${check} -> if (low == 0) revert TooMuch(low, high);`,
      `dropped check: ${check} -> if (false) revert TooMuch(low, high);`,
      `swapped argument: ${check} -> if (low == 0 || high > 100) revert TooMuch(high, low);`,
      `constant: ${check} -> if (low == 0 || high > 101) revert TooMuch(low, high);`,
      'constant: function LIMIT() private pure returns (uint256) { return 3; } -> function LIMIT() private pure returns (uint256) { return 2; }',
      'dropped event: emit Summed(left, right); -> {}',
      'dropped statement: return total - rest; -> {}',
      'operator: return total - rest; -> return total + rest;',
      'operator: total = total << 1; -> total = total >> 1;',
      'opposite: return !isEven(value); -> return isEven(value);',
      'dropped loop: for (uint256 i = 0; i < LIMIT(); ++i) total += low; -> for (uint256 i = 0; false; ++i) total += low;',
    ]),
  )
  // Dropping the revert is dropping the check, and nothing is tried twice.
  expect(changes.filter((change) => change.startsWith('dropped check'))).toHaveLength(1)
  expect(new Set(mutants.map((each) => mutantKey(text, each))).size).toBe(mutants.length)
})

const abi = parseAbi([
  'function sum(uint256 left, uint256 right) returns (uint256)',
  'function isOdd(uint256 value) view returns (bool)',
])
const calls: Hex[] = [
  ...(
    [
      [1n, 2n],
      [2n, 2n],
      [7n, 3n],
      [0n, 5n],
      [1n, 100n],
      [1n, 101n],
    ] as const
  ).map((args) => encodeFunctionData({ abi, functionName: 'sum', args: [...args] })),
  ...[4n, 5n].map((value) => encodeFunctionData({ abi, functionName: 'isOdd', args: [value] })),
]

test('a mutant awake among others does what it does alone', async () => {
  const numbered = mutants
    .filter(({ place }) => place.kind !== 'file')
    .map((mutant, index) => ({ mutant, number: index + 1 }))
  expect(numbered.length).toBeGreaterThan(40)
  const woven = weave(text, numbered)
  const { code } = compile(woven.text)
  for (const { number, mutant } of numbered) {
    const { start, end } = woven.ranges.get(number)!
    expect(mutated(text, mutant)).toContain(woven.text.slice(start, end))
  }

  const connection = await network.create('default')
  const { provider } = connection
  try {
    const [from] = (await provider.request({ method: 'eth_accounts' })) as [Hex]
    /** All that one can see of a contract: what each call returns or reverts with, and its events. */
    const behaviour = async (creation: string) => {
      const gas = '0xf42400'
      const transaction = { from, data: `0x${creation}`, gas }
      const hash = await provider.request({ method: 'eth_sendTransaction', params: [transaction] })
      const { contractAddress: to } = (await provider.request({
        method: 'eth_getTransactionReceipt',
        params: [hash],
      })) as { contractAddress: Hex }
      const seen: unknown[] = []
      for (const data of calls) {
        const call = { from, to, data, gas }
        const params = [call, 'latest']
        seen.push(await provider.request({ method: 'eth_call', params }).catch(String))
        const sent = await provider
          .request({ method: 'eth_sendTransaction', params: [call] })
          .catch(() => undefined)
        if (sent === undefined) continue
        const receipt = (await provider.request({
          method: 'eth_getTransactionReceipt',
          params: [sent],
        })) as { logs: { data: Hex }[] }
        seen.push(receipt.logs.map(({ data }) => data))
      }
      return seen
    }
    const original = await behaviour(compile(shipped).code)
    expect(await behaviour(compile(text).code)).toEqual(original)
    expect(await behaviour(awaken(code, 0))).toEqual(original)
    let different = 0
    for (const { number, mutant } of numbered) {
      const alone = await behaviour(compile(mutated(text, mutant)).code)
      expect({ mutant, seen: await behaviour(awaken(code, number)) }).toEqual({
        mutant,
        seen: alone,
      })
      if (JSON.stringify(alone) !== JSON.stringify(original)) different += 1
    }
    // Only a few of them are no mutants at all, such as a loop's limit that no call reaches.
    expect(different).toBeGreaterThan(numbered.length * 0.8)
  } finally {
    await connection.close()
  }
}, 300_000)

test('the hand-written mutants fit the sources as they are', async () => {
  for (const file of new Set(handwritten.map((each) => each.file))) {
    const source = await readFile(new URL(`../../${file}`, import.meta.url), 'utf8')
    expect(handwrittenOf(file, bytesOf(source)).length).toBeGreaterThan(0)
  }
  const lost = { file: FILE, name: 'lost', context: 'sum', from: 'not there', to: '' }
  expect(() => handwrittenOf(FILE, text, [lost])).toThrow('"lost" does not fit')
})

test('a run is judged by its rate and by what explains its survivors', async () => {
  const base = { file: FILE, context: 'sum', operator: 'constant', before: 'a', line: 1 }
  const tried = Array.from({ length: 100 }, (_, index): Tried => {
    const after = String(index)
    const key = after
    return { ...base, key, after, outcome: { kind: index < 3 ? 'survived' : 'timeout' } }
  })
  const survivors = tried
    .slice(0, 3)
    .map(({ key: _key, line: _line, outcome: _outcome, ...each }) => ({
      ...each,
      reason: 'cannot be seen',
    }))
  expect(judge(tried, survivors, true)).toMatchObject({ rate: 0.97, ok: true })
  expect(judge(tried, survivors.slice(1), true)).toMatchObject({
    ok: false,
    unexplained: [tried[0]],
  })
  expect(judge(tried.slice(1), survivors, true)).toMatchObject({ ok: false, stale: [survivors[0]] })
  expect(judge(tried.slice(1), survivors, false)).toMatchObject({ ok: true, stale: [] })
  const worse = { ...tried[5]!, outcome: { kind: 'survived' } } as const
  const explained = [...survivors, { ...base, after: '5', reason: 'cannot be seen' }]
  expect(judge([...tried, worse], explained, false)).toMatchObject({ ok: false, unexplained: [] })

  for (const { reason } of await readSurvivors()) expect(reason.length).toBeGreaterThan(20)
})

test('results outlive a run that was stopped in the middle of a line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'multiverse-mutation-'))
  try {
    const file = join(folder, 'deep', 'results.jsonl')
    const first = await openResults(file)
    await first.put('a', { kind: 'killed', by: 'T.test_a()' })
    await first.put('b', { kind: 'survived' })
    await writeFile(file, `${await readFile(file, 'utf8')}{"key":"c","outco`)
    const second = await openResults(file)
    expect(second.get('a')).toEqual({ kind: 'killed', by: 'T.test_a()' })
    expect(second.get('b')).toEqual({ kind: 'survived' })
    expect(second.get('c')).toBeUndefined()
    await second.put('c', { kind: 'timeout' })
    expect((await openResults(file)).get('c')).toEqual({ kind: 'timeout' })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a sample is the same for the same seed, in order, without repeats', () => {
  const list = Array.from({ length: 50 }, (_, index) => index)
  const chosen = sample(list, 10, 7)
  expect(chosen).toHaveLength(10)
  expect(sample(list, 10, 7)).toEqual(chosen)
  expect(sample(list, 10, 8)).not.toEqual(chosen)
  expect(chosen).toEqual([...new Set(chosen)].toSorted((a, b) => a - b))
})
