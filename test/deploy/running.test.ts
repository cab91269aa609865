import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type Address, createWalletClient, type Hex, http, parseAbi, parseEther } from 'viem'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pigouSpec } from '../../cli/scenario/spec.ts'
import { freePorts } from '../../cli/stack/ports.ts'
import { plannedContracts } from '../../deploy/contracts.ts'
import { priceOracleAbi } from '../../sdk/abi.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import { type DeployOutput, type RunOutput, runOutput } from '../../sdk/networkOutput.ts'
import { lastJson, multiverse, start } from '../cli/harness.ts'
import { type Sepolia, startSepolia } from './sepolia.ts'

// What was deployed on a public network is added to, and lived on.

let network: Sepolia

beforeAll(async () => {
  network = await startSepolia()
  const { chain, account } = network
  await chain.testClient.setBalance({ address: account.address, value: parseEther('1') })
  const { code, stderr } = await network.deploy('--no-oracles', '--yes')
  if (code !== 0) throw new Error(stderr)
}, 120_000)
afterAll(() => network?.stop())

test('the demo token comes later, and costs only itself', async () => {
  const before = await network.transactions()
  const { deployment } = lastJson(
    await network.deploy('--no-oracles', '--token', '--yes', '--json'),
  ) as DeployOutput
  const token = deployment.addresses.token!
  expect(token).toBe(
    (await plannedContracts({ withToken: true, withOracles: false })).at(-1)!.address,
  )
  expect(await network.transactions()).toBe(before + 1)
})

test('the oracles come later, and cost only themselves', async () => {
  const before = await network.transactions()
  const { deployment } = lastJson(await network.deploy('--yes', '--json')) as DeployOutput
  const { addresses } = deployment
  const planned = await plannedContracts({ withToken: true, withOracles: true })
  expect(new Set(Object.values(addresses))).toEqual(new Set(planned.map(({ address }) => address)))
  expect(await network.transactions()).toBe(before + 4)
  const oracle = { address: addresses.priceOracle!, abi: priceOracleAbi } as const
  expect(
    await network.chain.publicClient.readContract({ ...oracle, functionName: 'multiverse' }),
  ).toBe(addresses.multiverse)
})

describe('a keeper and an indexer on it, and a question through all of its life', () => {
  let running: ReturnType<typeof start> | undefined
  let up: RunOutput
  let errors = ''
  let keeper: Address
  let question: Hex
  const keys = () => ({
    MULTIVERSE_KEYSTORE: join(network.dataDir, '..', `${basename(network.dataDir)}-keys`),
  })

  /** A verb on the chain's data folder, which knows where it runs. */
  const verb = async <T>(line: string): Promise<T> => {
    const ran = await multiverse([...line.split(' '), '--data', network.dataDir, '--json'], {
      MULTIVERSE_PRIVATE_KEY: network.key,
    })
    if (ran.code !== 0) throw new Error(`${line}: ${ran.stderr}${errors}`)
    return lastJson(ran) as T
  }

  beforeAll(async () => {
    const made = await multiverse(['wallet', 'new', 'operator', '--json'], {
      ...keys(),
      MULTIVERSE_PASSPHRASE: 'correct horse',
    })
    keeper = (lastJson(made) as { address: Address }).address
    await network.chain.testClient.setBalance({ address: keeper, value: parseEther('1') })
    const { addresses } = JSON.parse(
      await readFile(join(network.dataDir, 'deployment.json'), 'utf8'),
    ) as Deployment
    const client = createWalletClient({
      account: network.account,
      transport: http(network.chain.url),
    })
    const hash = await client.writeContract({
      address: addresses.token!,
      abi: parseAbi(['function mint(address to, uint256 amount)']),
      functionName: 'mint',
      args: [network.account.address, parseEther('100')],
      chain: null,
    })
    await network.chain.publicClient.waitForTransactionReceipt({ hash })
    const base = (await freePorts()).chain
    running = start(
      ['run', '--data', network.dataDir, '--as', 'operator', '--port-base', `${base}`, '--json'],
      {
        ...keys(),
        SEPOLIA_RPC_URL: network.chain.url,
        KEEPER_PASSPHRASE: 'correct horse',
      },
    )
    running.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    let line = ''
    for await (const chunk of running.stdout) {
      line += String(chunk)
      if (line.endsWith('\n')) break
    }
    if (line === '') throw new Error(`run ended: ${errors}`)
    up = JSON.parse(line) as RunOutput
  }, 240_000)

  afterAll(async () => {
    if (running?.exitCode === null) {
      const ended = once(running, 'close')
      running.kill('SIGTERM')
      await ended
    }
    await rm(keys().MULTIVERSE_KEYSTORE, { recursive: true, force: true })
  }, 60_000)

  test('they are up, the keeper with its own key', async () => {
    expect(runOutput.parse(up)).toMatchObject({
      dataDir: network.dataDir,
      keeper,
      services: ['keeper', 'indexer'],
    })
    expect((await fetch(`${up.urls.keeper}/ready`)).status).toBe(200)
    expect((await fetch(`${up.urls.analytics}/ready`)).status).toBe(200)
    expect(errors).not.toContain('error')
  })

  test('it is asked, pushed into, reported, answered and redeemed', async () => {
    const spec = join(network.dataDir, '..', `${basename(network.dataDir)}-keys`, 'spec.json')
    await writeFile(spec, JSON.stringify(pigouSpec({ degree: 1, seed: 7 })))
    ;({ question } = await verb<{ question: Hex }>(
      `ask --spec ${spec} --deadline +1h --oracle keeper`,
    ))
    await verb(`push-down --question ${question} --amount 40`)
    await expect
      .poll(async () => (await verb<{ world: unknown }>(`verse ${question}=nash`)).world, {
        timeout: 120_000,
        interval: 1_000,
      })
      .toMatchObject({ verdict: expect.stringMatching(/ran|verified/) as unknown })
    await verb(`resolve --question ${question} --outcome nash`)
    await verb(`pull-up --question ${question} --amount 40`)
    const { balances } = await verb<{ balances: { name: string; amount: string }[] }>('balance')
    expect(balances.find(({ name }) => name === 'root')?.amount).toBe('100')
  }, 300_000)

  test('the mirror has it too', async () => {
    const sql = `SELECT count(*)::INT AS n FROM questions WHERE winner = 0`
    await expect
      .poll(
        async () => {
          const ran = await multiverse(['sql', sql, '--data', network.dataDir, '--json'])
          return (lastJson(ran) as { rows?: unknown }).rows
        },
        { timeout: 120_000, interval: 500 },
      )
      .toEqual([[1]])
  }, 150_000)
})
