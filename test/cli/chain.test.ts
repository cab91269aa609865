import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEther, toHex } from 'viem'
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pigouSpec } from '../../cli/scenario/spec.ts'
import { mint, narrow } from '../../sdk/actions.ts'
import { childVerse, positionId, ROOT } from '../../sdk/ids.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { alone, lastJson, multiverse, type Ran } from './harness.ts'

// The verbs that speak to a chain, on a real one, without a stack.

let dataDir: string
let chain: LocalChain
let question: `0x${string}`

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-cli-'))
  chain = await startChain()
  await writeFile(join(dataDir, 'deployment.json'), JSON.stringify(chain.deployment))
  await writeFile(join(dataDir, 'spec.json'), JSON.stringify(pigouSpec({ degree: 2 })))
  await mint(chain.wallet(0), {
    token: chain.deployment.addresses.token,
    to: chain.accounts[0]!.address,
    amount: parseEther('100'),
  })
  const asked = await run(`ask --spec ${spec()} --deadline +1h --json`)
  question = (lastJson(asked) as { question: `0x${string}` }).question
})

afterAll(async () => {
  await chain.stop()
  await rm(dataDir, { recursive: true, force: true })
})

const spec = () => join(dataDir, 'spec.json')

/** Runs a command line on the chain. */
const run = (line: string): Promise<Ran> =>
  alone([...line.split(' '), '--data', dataDir, '--rpc', chain.url])

/** The amounts an owner is shown, by name of the verse. */
async function shown(owner: string): Promise<Record<string, string>> {
  const ran = await run(`balance --owner ${owner} --json`)
  const { balances } = lastJson(ran) as { balances: { name: string; amount: string }[] }
  return Object.fromEntries(
    balances.map(({ name, amount }) => [name.replace(/^0x[0-9a-f]+=/, ''), amount]),
  )
}

test('asks, with the labels and terms that the id binds', async () => {
  const ran = await run(`ask --spec ${spec()} --deadline 1900000000 --oracle bob --json`)
  const asked = lastJson(ran) as Record<string, unknown>
  expect(asked).toMatchObject({
    oracle: chain.accounts[1]!.address,
    outcomes: 4,
    labels: ['nash', 'optimal', 'chaos', 'void'],
    deadline: 1_900_000_000,
  })
  const past = await run(`ask --spec ${spec()} --deadline 2020-01-01`)
  expect(past.stderr).toMatch(/^error DEADLINE_PASSED: DeadlinePassed\(0x.*, 1577836800, \d+\)\n$/)
  expect(past.code).toBe(1)
})

test('pushes down, transfers, pulls up, and shows what is where', async () => {
  const pushed = await run(`push-down --question ${question.slice(0, 10)} --amount 60.5 --json`)
  expect(lastJson(pushed)).toMatchObject({
    kind: 'push-down',
    verse: ROOT,
    path: [],
    question,
    amount: '60.5',
    owner: chain.accounts[0]!.address,
    approveTx: expect.stringMatching(/^0x/) as string,
    children: [0, 1, 2, 3].map((outcome) => ({
      verse: childVerse(ROOT, question, outcome),
      outcome,
      label: ['nash', 'optimal', 'chaos', 'void'][outcome],
    })),
  })
  expect(await shown('alice')).toEqual({
    root: '39.5',
    nash: '60.5',
    optimal: '60.5',
    chaos: '60.5',
    void: '60.5',
  })

  const given = await run(
    `transfer --verse ${question.slice(2, 10)}=chaos --to carol --amount 20 --json`,
  )
  const { token } = chain.deployment.addresses
  expect(lastJson(given)).toMatchObject({
    verse: childVerse(ROOT, question, 2),
    position: `${positionId(childVerse(ROOT, question, 2), token)}`,
    path: [{ question, outcome: 2, label: 'chaos' }],
    amount: '20',
  })
  expect(await shown('carol')).toEqual({ root: '0', chaos: '20' })

  const pulled = await run(`pull-up --question ${question} --amount 40.5 --to bob`)
  expect(pulled.stderr).toBe('')
  expect(pulled.stdout).toContain('pulled up  40.5 mUSD')
  expect(await shown('bob')).toEqual({ root: '40.5' })
  expect(await shown('alice')).toEqual({ root: '39.5', nash: '20', optimal: '20', void: '20' })

  const one = await run(`balance --verse ${question}=0`)
  expect(one.stdout).toBe(`alice has\n20  mUSD in ${question.slice(0, 10)}=nash\n`)
})

test('draws a verse that no keeper reported', async () => {
  const ran = await run(`verse ${question}=nash --json`)
  expect(lastJson(ran)).toMatchObject({
    verse: childVerse(ROOT, question, 0),
    name: `${question.slice(0, 10)}=nash`,
    parent: null,
    children: [],
    probability: null,
    live: true,
    world: null,
  })
  expect(lastJson(await run('verse --json'))).toMatchObject({ verse: ROOT, probability: '1' })
})

test('a verse that did not happen is shown as such', async () => {
  const ran = await run(`ask --spec ${spec()} --deadline +2h --oracle keeper --json`)
  const other = (lastJson(ran) as { question: `0x${string}` }).question
  await run(`push-down --question ${other} --amount 1 --as alice`)
  const { multiverse: address } = chain.deployment.addresses
  await narrow(chain.wallet(9), { multiverse: address, question: other, survivors: 0b0010n })
  const { stdout } = await run(`verse ${other}=nash`)
  expect(stdout).toMatch(/^state +evaporated$/m)
  expect((await run(`balance --verse ${other}=nash`)).stdout).toContain('(evaporated)')
  expect((await run(`balance --verse ${other}=optimal`)).stdout).not.toContain('(evaporated')
  const late = await run(`push-down --question ${other} --amount 1`)
  expect(late.stderr).toMatch(/^error ALREADY_RESOLVED: /)
})

test.each([
  ['--amount 0', 'ZERO_AMOUNT: amount 0 must be above 0', 1],
  ['--amount 1e5', 'INVALID_AMOUNT: 1e5 is not an amount such as 12.5', 2],
  [
    `--amount 1${'0'.repeat(21)}`,
    'AMOUNT_TOO_LARGE: amount 1000000000000000000000 is over 170141183460469231731.687303715884105727',
    1,
  ],
  ['--amount 1000', 'ERC20_INSUFFICIENT_BALANCE: ', 1],
  [
    '--amount 1 --as mallory',
    'UNKNOWN_WALLET: no wallet named mallory: one of alice, bob, carol, deployer, keeper',
    2,
  ],
  ['--amount 1 --to 0x1234', 'INVALID_ADDRESS: 0x1234 is not an address', 2],
  ['--amount 1 --path nonsense', 'INVALID_PATH: nonsense is not QUESTION=OUTCOME', 2],
  [
    `--amount 1 --token 0x${'12'.repeat(20)}`,
    `INVALID_TOKEN: 0x${'12'.repeat(20)} is no ERC-20 with metadata`,
    1,
  ],
])('a push-down of %s is refused in one line', async (args, message, code) => {
  const ran = await run(`push-down --question ${question} ${args}`)
  expect(ran.stderr.startsWith(`error ${message}`)).toBe(true)
  expect(ran.stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(ran.code).toBe(code)
})

test('an unknown question, an outcome it does not have, and a path through itself', async () => {
  const unknown = await run('push-down --question 999999 --amount 1')
  expect(unknown.stderr).toBe(
    'error UNKNOWN_QUESTION: no question begins with 0x999999: see `multiverse questions`\n',
  )
  const outcome = await run(`verse ${question}=4`)
  expect(outcome.stderr).toBe(
    `error OUTCOME_OUT_OF_RANGE: outcome 4 is not below 4 in question ${question}\n`,
  )
  const inside = await run(`push-down --question ${question} --path ${question}=1 --amount 1`)
  expect(inside.stderr).toMatch(/^error QUESTION_IN_PATH: /)
})

test('signs with the key of the environment, which no output ever shows', async () => {
  const key = generatePrivateKey()
  const owner = privateKeyToAddress(key)
  await chain.testClient.setBalance({ address: owner, value: parseEther('1') })
  await mint(chain.wallet(0), {
    token: chain.deployment.addresses.token,
    to: owner,
    amount: parseEther('5'),
  })
  const args = ['push-down', '--question', question, '--amount', '5', '--json']
  const ran = await multiverse([...args, '--data', dataDir, '--rpc', chain.url], {
    MULTIVERSE_PRIVATE_KEY: key,
  })
  expect(lastJson(ran)).toMatchObject({ owner })
  const wrong = await multiverse([...args, '--data', dataDir, '--rpc', chain.url], {
    MULTIVERSE_PRIVATE_KEY: `${key}ff`,
  })
  expect(wrong.stderr).toBe('error INVALID_KEY: MULTIVERSE_PRIVATE_KEY holds no private key\n')
  expect(wrong.code).toBe(2)
  for (const text of [ran.stdout, ran.stderr, wrong.stdout])
    expect(text).not.toContain(key.slice(2))
})

test('the data folder of another chain is refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'multiverse-cli-'))
  try {
    const deployment = { ...chain.deployment, startBlockHash: toHex(1n, { size: 32 }) }
    await writeFile(join(folder, 'deployment.json'), JSON.stringify(deployment))
    const ran = await alone(['balance', '--data', folder, '--rpc', chain.url])
    expect(ran.stderr).toMatch(
      new RegExp(
        `^error OTHER_CHAIN: block \\d+ is 0x0*1 in the data folder and ${chain.deployment.startBlockHash} on the chain\\n$`,
      ),
    )
    expect(ran.code).toBe(3)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
