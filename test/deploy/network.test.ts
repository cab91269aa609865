import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import {
  type Address,
  createWalletClient,
  type Hex,
  http,
  parseAbi,
  parseEther,
  zeroAddress,
  zeroHash,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pigouSpec } from '../../cli/scenario/spec.ts'
import { freePorts } from '../../cli/stack/ports.ts'
import { plannedContracts } from '../../deploy/contracts.ts'
import { priceOracleAbi } from '../../sdk/abi.ts'
import type { Deployment } from '../../sdk/deployment.ts'
import {
  type DeployOutput,
  deployOutput,
  deployPlanOutput,
  type RunOutput,
  runOutput,
} from '../../sdk/networkOutput.ts'
import { lastJson, multiverse, start } from '../cli/harness.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { type Explorers, startExplorers } from '../stand-ins/explorers.ts'

// A chain that says it is Sepolia, with blocks of its own every half second and a base fee that moves, as the command
// meets it. No public network is used.

const SEPOLIA = 11_155_111
const API_KEY = 'KEY-OF-THE-STAND-IN'
let chain: LocalChain
let explorers: Explorers
let dataDir: string
let env: Record<string, string>
const deployer = privateKeyToAccount(generatePrivateKey())
const key = generatePrivateKey()
const account = privateKeyToAccount(key)

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-network-'))
  chain = await startChain({
    args: ['--chain-id', `${SEPOLIA}`, '--block-time', '0.5'],
    deployment: {
      version: 1,
      chainId: SEPOLIA,
      addresses: { multiverse: zeroAddress, worlds: zeroAddress, token: zeroAddress },
      startBlock: 0,
      startBlockHash: zeroHash,
    },
  })
  explorers = await startExplorers({ rpcUrl: chain.url, chainId: SEPOLIA, apiKey: API_KEY })
  env = {
    SEPOLIA_RPC_URL: chain.url,
    MULTIVERSE_PRIVATE_KEY: key,
    SOURCIFY_API_URL: explorers.sourcifyUrl,
    ETHERSCAN_API_URL: explorers.etherscanUrl,
    ETHERSCAN_API_KEY: '',
  }
})

afterAll(async () => {
  await explorers?.stop()
  await chain?.stop()
  await rm(dataDir, { recursive: true, force: true })
})

const deployAll = (...args: string[]) =>
  multiverse(
    ['deploy', '--network', 'sepolia', '--data', dataDir, '--confirmations', '2', ...args],
    env,
  )
/** Without the oracles, whose sources the stand-ins would take long to compile. */
const deploy = (...args: string[]) => deployAll('--no-oracles', ...args)
const transactions = () => chain.publicClient.getTransactionCount({ address: account.address })

test('what is missing or wrong is said before anything is sent', async () => {
  const noUrl = await multiverse(['deploy', '--network', 'sepolia'], { SEPOLIA_RPC_URL: '' })
  expect(noUrl.stderr).toBe(
    'error USAGE: Sepolia needs the URL of a JSON-RPC: set SEPOLIA_RPC_URL, or give --rpc URL\n',
  )
  expect(noUrl.code).toBe(2)
  const unknown = await multiverse(['deploy', '--network', 'seplia'], env)
  expect(unknown.stderr).toContain('error USAGE: no network named seplia: one of mainnet, sepolia')
  const wrong = await multiverse(['deploy', '--network', 'hoodi', '--rpc', chain.url], env)
  expect(wrong.stderr).toBe(
    `error WRONG_CHAIN: ${chain.url} serves chain 11155111, and hoodi is chain 560048\n`,
  )
  expect(wrong.code).toBe(3)
})

test('a dry run shows addresses, gas, cost and balance, and sends nothing', async () => {
  const { code, stdout } = await deploy('--dry-run')
  expect(code).toBe(0)
  const contracts = await plannedContracts({ withToken: false, withOracles: false })
  for (const { address } of contracts)
    expect(stdout).toMatch(new RegExp(`${address}  to be created  \\d{7} gas`))
  expect(stdout).toContain(`deployer ${account.address} has 0 ETH`)
  expect(stdout).toMatch(
    /\d{7} gas: 0\.\d+ ETH at [\d.]+ gwei now, at most 0\.\d+ ETH at [\d.]+ gwei/,
  )
  const json = deployPlanOutput.parse(lastJson(await deploy('--dry-run', '--json')))
  expect(json).toMatchObject({ dryRun: true, network: 'sepolia', chainId: SEPOLIA, balance: '0' })
  expect(BigInt(json.maxCost)).toBeGreaterThanOrEqual(BigInt(json.cost))
  expect(BigInt(json.cost)).toBe(BigInt(json.gas) * BigInt(json.gasPrice))
})

test('a wallet with too little is told how much it may need', async () => {
  const { code, stderr } = await deploy('--yes')
  expect(code).toBe(1)
  expect(stderr).toMatch(
    new RegExp(
      `error INSUFFICIENT_FUNDS: ${account.address} has 0 ETH and may need up to 0\\.\\d+`,
    ),
  )
})

test('without --yes, and with nobody to ask, nothing is sent', async () => {
  await chain.testClient.setBalance({ address: account.address, value: parseEther('1') })
  const { code, stderr } = await deploy()
  expect(code).toBe(2)
  expect(stderr).toContain('error USAGE: this costs money on Sepolia: look at --dry-run, then give')
  expect(await transactions()).toBe(0)
})

test('a verification that fails is one line, leaves the deployment, and is tried again alone', async () => {
  explorers.break(502)
  const ran = await deploy('--yes', '--verify', '--json')
  expect(ran.code).toBe(1)
  const last = ran.stderr.trimEnd().split('\n').at(-1)
  expect(last).toMatch(
    /^error VERIFY_FAILED: Multiverse on sourcify: .*the same command tries again$/,
  )
  expect(await transactions()).toBe(3)
  const record = await readFile(join(dataDir, 'deployment.json'), 'utf8')
  const [ledger] = await plannedContracts({ withToken: false, withOracles: false })
  expect(record).toContain(ledger!.address)

  explorers.break(0)
  const again = await deploy('--verify', '--json')
  expect(again.stderr).not.toContain('error')
  expect(deployOutput.parse(lastJson(again))).toMatchObject({
    deployment: JSON.parse(record) as unknown,
    verifications: [
      { service: 'sourcify', contract: 'Multiverse', ok: true, message: 'verified' },
      { service: 'sourcify', contract: 'Worlds', ok: true, message: 'verified' },
      { service: 'sourcify', contract: 'MultiverseLens', ok: true, message: 'verified' },
    ],
  })
  expect(explorers.compilations()).toBe(3)
  expect(await transactions()).toBe(3)
  expect(await readFile(join(dataDir, 'deployment.json'), 'utf8')).toBe(record)
}, 300_000)

test('Etherscan is asked where there is a key for it, and refuses a wrong one', async () => {
  const from = explorers.requests.length
  env['ETHERSCAN_API_KEY'] = 'another'
  const refused = await deploy('--verify')
  expect(refused.stderr).toMatch(/error VERIFY_FAILED: Multiverse on etherscan: .*Invalid API Key/)
  env['ETHERSCAN_API_KEY'] = API_KEY
  const { verifications } = lastJson(await deploy('--verify', '--json')) as {
    verifications: { service: string; ok: boolean }[]
  }
  expect(verifications.map(({ service, ok }) => [service, ok])).toEqual([
    ['sourcify', true],
    ['sourcify', true],
    ['sourcify', true],
    ['etherscan', true],
    ['etherscan', true],
    ['etherscan', true],
  ])
  // What Sourcify has it is not given again.
  const asked = explorers.requests.slice(from)
  expect(asked.filter((line) => line.startsWith('POST /sourcify'))).toEqual([])
  expect(asked).toContain('POST /etherscan/v2/api')
}, 300_000)

test('the demo token comes later, and costs only itself', async () => {
  const before = await transactions()
  const { deployment } = lastJson(await deploy('--token', '--yes', '--json')) as DeployOutput
  const token = deployment.addresses.token!
  expect(token).toBe(
    (await plannedContracts({ withToken: true, withOracles: false })).at(-1)!.address,
  )
  expect(await transactions()).toBe(before + 1)
})

test('the oracles come later, and cost only themselves', async () => {
  const before = await transactions()
  const { deployment } = lastJson(await deployAll('--yes', '--json')) as DeployOutput
  const { addresses } = deployment
  const planned = await plannedContracts({ withToken: true, withOracles: true })
  expect(new Set(Object.values(addresses))).toEqual(new Set(planned.map(({ address }) => address)))
  expect(await transactions()).toBe(before + 4)
  const oracle = { address: addresses.priceOracle!, abi: priceOracleAbi } as const
  expect(await chain.publicClient.readContract({ ...oracle, functionName: 'multiverse' })).toBe(
    addresses.multiverse,
  )
})

describe('a keeper and an indexer on it, and a question through all of its life', () => {
  let running: ReturnType<typeof start> | undefined
  let up: RunOutput
  let errors = ''
  let keeper: Address
  let question: Hex
  const keys = () => ({ MULTIVERSE_KEYSTORE: join(dataDir, '..', `${basename(dataDir)}-keys`) })

  /** A verb on the chain's data folder, which knows where it runs. */
  const verb = async <T>(line: string): Promise<T> => {
    const ran = await multiverse([...line.split(' '), '--data', dataDir, '--json'], {
      MULTIVERSE_PRIVATE_KEY: key,
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
    await chain.testClient.setBalance({ address: keeper, value: parseEther('1') })
    const { addresses } = JSON.parse(
      await readFile(join(dataDir, 'deployment.json'), 'utf8'),
    ) as Deployment
    const client = createWalletClient({ account, transport: http(chain.url) })
    const hash = await client.writeContract({
      address: addresses.token!,
      abi: parseAbi(['function mint(address to, uint256 amount)']),
      functionName: 'mint',
      args: [account.address, parseEther('100')],
      chain: null,
    })
    await chain.publicClient.waitForTransactionReceipt({ hash })
    const base = (await freePorts()).chain
    running = start(
      ['run', '--data', dataDir, '--as', 'operator', '--port-base', `${base}`, '--json'],
      {
        ...keys(),
        SEPOLIA_RPC_URL: chain.url,
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
    expect(runOutput.parse(up)).toMatchObject({ dataDir, keeper, services: ['keeper', 'indexer'] })
    expect((await fetch(`${up.urls.keeper}/ready`)).status).toBe(200)
    expect((await fetch(`${up.urls.analytics}/ready`)).status).toBe(200)
    expect(errors).not.toContain('error')
  })

  test('it is asked, pushed into, reported, answered and redeemed', async () => {
    const spec = join(dataDir, '..', `${basename(dataDir)}-keys`, 'spec.json')
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
          const ran = await multiverse(['sql', sql, '--data', dataDir, '--json'])
          return (lastJson(ran) as { rows?: unknown }).rows
        },
        { timeout: 120_000, interval: 500 },
      )
      .toEqual([[1]])
  }, 150_000)
})

test('a stand-in that is given other sources says so', async () => {
  const { sourceName } = (await plannedContracts({ withToken: false, withOracles: false }))[0]!
    .artifact
  const response = await fetch(
    `${explorers.sourcifyUrl}/v2/verify/${SEPOLIA}/${deployer.address}`,
    {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        stdJsonInput: { language: 'Solidity', sources: {}, settings: {} },
        compilerVersion: 'v0.8.37',
        contractIdentifier: `${sourceName}:Multiverse`,
      }),
    },
  )
  expect(response.status).toBe(202)
  const { verificationId } = (await response.json()) as { verificationId: string }
  await expect
    .poll(async () => (await fetch(`${explorers.sourcifyUrl}/v2/verify/${verificationId}`)).json())
    .toMatchObject({ isJobCompleted: true, error: { customCode: 'contract_not_deployed' } })
})
