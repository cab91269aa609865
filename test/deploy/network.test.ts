import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEther, zeroAddress } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { plannedContracts } from '../../deploy/contracts.ts'
import { deployOutput, deployPlanOutput } from '../../sdk/networkOutput.ts'
import { lastJson, multiverse } from '../cli/harness.ts'
import { type Explorers, startExplorers } from '../stand-ins/explorers.ts'
import { SEPOLIA, type Sepolia, startSepolia } from './sepolia.ts'

// Deploying and verifying on a public network, as the command meets it.

const API_KEY = 'KEY-OF-THE-STAND-IN'
let network: Sepolia
let explorers: Explorers

beforeAll(async () => {
  network = await startSepolia()
  explorers = await startExplorers({
    rpcUrl: network.chain.url,
    chainId: SEPOLIA,
    apiKey: API_KEY,
  })
  network.env['SOURCIFY_API_URL'] = explorers.sourcifyUrl
  network.env['ETHERSCAN_API_URL'] = explorers.etherscanUrl
})

afterAll(async () => {
  await explorers?.stop()
  await network?.stop()
})

/** Without the oracles, whose sources the stand-ins would take long to compile. */
const deploy = (...args: string[]) => network.deploy('--no-oracles', ...args)

test('what is missing or wrong is said before anything is sent', async () => {
  const noUrl = await multiverse(['deploy', '--network', 'sepolia'], { SEPOLIA_RPC_URL: '' })
  expect(noUrl.stderr).toBe(
    'error USAGE: Sepolia needs the URL of a JSON-RPC: set SEPOLIA_RPC_URL, or give --rpc URL\n',
  )
  expect(noUrl.code).toBe(2)
  const unknown = await multiverse(['deploy', '--network', 'seplia'], network.env)
  expect(unknown.stderr).toContain('error USAGE: no network named seplia: one of mainnet, sepolia')
  const wrong = await multiverse(
    ['deploy', '--network', 'hoodi', '--rpc', network.chain.url],
    network.env,
  )
  expect(wrong.stderr).toBe(
    `error WRONG_CHAIN: ${network.chain.url} serves chain 11155111, and hoodi is chain 560048\n`,
  )
  expect(wrong.code).toBe(3)
})

test('a dry run shows addresses, gas, cost and balance, and sends nothing', async () => {
  const { code, stdout } = await deploy('--dry-run')
  expect(code).toBe(0)
  const contracts = await plannedContracts({ withToken: false, withOracles: false })
  for (const { address } of contracts)
    expect(stdout).toMatch(new RegExp(`${address}  to be created  \\d{7} gas`))
  expect(stdout).toContain(`deployer ${network.account.address} has 0 ETH`)
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
      `error INSUFFICIENT_FUNDS: ${network.account.address} has 0 ETH and may need up to 0\\.\\d+`,
    ),
  )
})

test('without --yes, and with nobody to ask, nothing is sent', async () => {
  await network.chain.testClient.setBalance({
    address: network.account.address,
    value: parseEther('1'),
  })
  const { code, stderr } = await deploy()
  expect(code).toBe(2)
  expect(stderr).toContain('error USAGE: this costs money on Sepolia: look at --dry-run, then give')
  expect(await network.transactions()).toBe(0)
})

test('a verification that fails is one line, leaves the deployment, and is tried again alone', async () => {
  explorers.break(502)
  const ran = await deploy('--yes', '--verify', '--json')
  expect(ran.code).toBe(1)
  const last = ran.stderr.trimEnd().split('\n').at(-1)
  expect(last).toMatch(
    /^error VERIFY_FAILED: Multiverse on sourcify: .*the same command tries again$/,
  )
  expect(await network.transactions()).toBe(3)
  const record = await readFile(join(network.dataDir, 'deployment.json'), 'utf8')
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
  expect(await network.transactions()).toBe(3)
  expect(await readFile(join(network.dataDir, 'deployment.json'), 'utf8')).toBe(record)
}, 300_000)

test('Etherscan is asked where there is a key for it, and refuses a wrong one', async () => {
  const from = explorers.requests.length
  network.env['ETHERSCAN_API_KEY'] = 'another'
  const refused = await deploy('--verify')
  expect(refused.stderr).toMatch(/error VERIFY_FAILED: Multiverse on etherscan: .*Invalid API Key/)
  network.env['ETHERSCAN_API_KEY'] = API_KEY
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

test('a stand-in that is given other sources says so', async () => {
  const { sourceName } = (await plannedContracts({ withToken: false, withOracles: false }))[0]!
    .artifact
  const response = await fetch(`${explorers.sourcifyUrl}/v2/verify/${SEPOLIA}/${zeroAddress}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      stdJsonInput: { language: 'Solidity', sources: {}, settings: {} },
      compilerVersion: 'v0.8.37',
      contractIdentifier: `${sourceName}:Multiverse`,
    }),
  })
  expect(response.status).toBe(202)
  const { verificationId } = (await response.json()) as { verificationId: string }
  await expect
    .poll(async () => (await fetch(`${explorers.sourcifyUrl}/v2/verify/${verificationId}`)).json())
    .toMatchObject({ isJobCompleted: true, error: { customCode: 'contract_not_deployed' } })
})
