import { inspect } from 'node:util'
import { parseEther, parseGwei } from 'viem'
import { expect, test } from 'vitest'
import { loadConfig } from '../../keeper/config.ts'
import { OWN_CALLS } from '../../keeper/tx/policy.ts'
import { isMultiverseError } from '../../sdk/errors.ts'

const KEY = `0x${'11'.repeat(32)}`
const good = {
  MULTIVERSE_DATA: '/data',
  MULTIVERSE_RPC_URL: 'http://127.0.0.1:8545',
  KEEPER_PRIVATE_KEY: KEY,
}

function problem(env: Record<string, string | undefined>): string {
  try {
    loadConfig(env)
  } catch (error) {
    if (isMultiverseError(error, 'CONFIG_INVALID')) return error.message
    throw error
  }
  throw new Error('nothing was wrong with it')
}

test('needs a data folder, an endpoint and a key, and has a default for the rest', () => {
  expect(loadConfig(good)).toEqual({
    dataDir: '/data',
    rpcUrls: ['http://127.0.0.1:8545'],
    rpcTimeoutMs: 10_000,
    port: 0,
    confirmations: null,
    finality: 'latest',
    startBlock: null,
    pollMs: null,
    databaseUrl: null,
    concurrency: 8,
    providers: ['quickjs'],
    providerLimits: new Map(),
    warmWorlds: 1,
    verifiers: null,
    worldTimeMs: 10_000,
    worldMemoryMb: 64,
    worldCpuPercent: 100,
    ipfsGateway: null,
    specTimeoutMs: 10_000,
    allowPrivateUrls: false,
    budget: { perDay: null, perVerse: null },
    tx: {
      maxFeePerGas: parseGwei('200'),
      spendPerDay: null,
      stuckMs: 45_000,
      balanceAlarms: [parseEther('0.1'), parseEther('0.02')],
    },
    allowedCalls: OWN_CALLS,
    served: { oracles: null, questions: null, tokens: null },
    reconcileS: 300,
    stopMs: 9_000,
    isDryRun: false,
    isOneShot: false,
    duties: {
      duties: new Set(['settle', 'expire']),
      stakes: new Map(),
      peers: [],
      prices: new Map(),
      redeemGasPercent: 5,
    },
    logLevel: 'info',
  })
})

test('says all that is wrong at once, with key and value', () => {
  const message = problem({
    MULTIVERSE_RPC_URL: 'ftp://chain',
    KEEPER_PORT: '70000',
    KEEPER_POLL_MS: '1e3',
    KEEPER_CONFIRMATIONS: '0x10',
    KEEPER_ALLOW_PRIVATE_URLS: 'yes',
    KEEPER_LOG_LEVEL: 'loud',
    KEEPER_CONFIRMATION: '3',
    KEEPER_PROVIDERS: 'quickjs,dreams',
  })
  for (const part of [
    'MULTIVERSE_DATA=(not set)',
    'MULTIVERSE_RPC_URL=ftp://chain',
    'KEEPER_PORT=70000: a port from 0 to 65535',
    'KEEPER_POLL_MS=1e3',
    'KEEPER_CONFIRMATIONS=0x10',
    'KEEPER_ALLOW_PRIVATE_URLS=yes',
    'KEEPER_LOG_LEVEL=loud',
    'KEEPER_CONFIRMATION: no such setting',
    'KEEPER_PROVIDERS=quickjs,dreams: different names from quickjs, gvisor, microvm, evm',
    'none of KEEPER_WALLET, KEEPER_SIGNER_URL and KEEPER_PRIVATE_KEY is set',
  ])
    expect(message).toContain(part)
  expect(message).not.toContain('\n')
})

test('never shows a secret', () => {
  const key = 'f'.repeat(63)
  const url = 'mysql://keeper:hunter2@db/keeper'
  const message = problem({
    ...good,
    KEEPER_PRIVATE_KEY: key,
    KEEPER_DATABASE_URL: url,
    KEEPER_PASSPRHASE: 'hunter2',
  })
  expect(message).toContain('KEEPER_PRIVATE_KEY holds no private key')
  expect(message).toContain('KEEPER_DATABASE_URL=(hidden)')
  expect(message).not.toContain(key)
  expect(message).not.toContain('hunter2')
  expect(inspect(loadConfig(good), { depth: null })).not.toContain(KEY.slice(2))
})

test.each([['0x' + '0'.repeat(64)], ['0x' + 'f'.repeat(64)], ['0x12'], ['key']])(
  'refuses %s as a key',
  (key) => {
    const message = problem({ ...good, KEEPER_PRIVATE_KEY: key })
    expect(message).toBe('KEEPER_PRIVATE_KEY holds no private key')
  },
)

test('takes an empty value as unset, and leaves other processes their settings', () => {
  const env = { ...good, KEEPER_DATABASE_URL: '', KEEPER_URLS: 'http://127.0.0.1:8548' }
  expect(loadConfig(env).databaseUrl).toBeNull()
})

test('takes a keystore, a signer or a key, and one of them only', () => {
  const { KEEPER_PRIVATE_KEY: _, ...rest } = good
  loadConfig({ ...rest, KEEPER_WALLET: 'keeper-1', KEEPER_PASSPHRASE_FD: '3' })
  loadConfig({ ...rest, KEEPER_SIGNER_URL: 'http://127.0.0.1:9000' })
  expect(problem({ ...good, KEEPER_WALLET: 'keeper-1' })).toBe(
    'KEEPER_WALLET and KEEPER_PRIVATE_KEY each name a key: set only one of them',
  )
  const secret = 'http//keeper:hunter2@signer'
  expect(problem({ ...rest, KEEPER_SIGNER_URL: secret })).toBe(
    'KEEPER_SIGNER_URL is no http or https URL',
  )
  expect(problem({ ...rest, KEEPER_WALLET: 'w', KEEPER_PASSPHRASE_FD: 'hunter2' })).toBe(
    'KEEPER_PASSPHRASE_FD is no number of a file descriptor',
  )
})

test('takes backends of worlds in order of preference, each once', () => {
  const given = { ...good, KEEPER_PROVIDERS: 'gvisor, quickjs' }
  expect(loadConfig(given).providers).toEqual(['gvisor', 'quickjs'])
  expect(problem({ ...good, KEEPER_PROVIDERS: 'quickjs,quickjs' })).toContain('different names')
})

test('takes endpoints, limits and calls of transactions', () => {
  const { rpcUrls, tx, allowedCalls } = loadConfig({
    ...good,
    KEEPER_RPC_URLS: 'wss://a.example, https://b.example/key',
    KEEPER_MAX_FEE_GWEI: '12.5',
    KEEPER_SPEND_LIMIT_ETH: '0.05',
    KEEPER_STUCK_SECONDS: '12',
    KEEPER_BALANCE_ALARM_ETH: '1',
    KEEPER_ALLOWED_CALLS: `worlds.report, 0x${'aB'.repeat(20)}.0x12345678`,
  })
  expect(rpcUrls).toEqual(['wss://a.example', 'https://b.example/key'])
  expect(tx).toEqual({
    maxFeePerGas: parseGwei('12.5'),
    spendPerDay: parseEther('0.05'),
    stuckMs: 12_000,
    balanceAlarms: [parseEther('1')],
  })
  expect(allowedCalls).toEqual([
    OWN_CALLS.find(({ contract }) => contract === 'worlds'),
    { contract: `0x${'ab'.repeat(20)}`, selector: '0x12345678' },
  ])
  const message = problem({
    ...good,
    KEEPER_RPC_URLS: 'https://a.example,ftp://b.example',
    KEEPER_MAX_FEE_GWEI: '0x10',
    KEEPER_ALLOWED_CALLS: 'worlds.destroy',
  })
  for (const part of ['KEEPER_RPC_URLS=', 'KEEPER_MAX_FEE_GWEI=0x10', 'calls such as'])
    expect(message).toContain(part)
})

test('puts nothing at stake, and redeems nothing, without being told how much', () => {
  const token = `0x${'AB'.repeat(20)}`
  const { duties } = loadConfig({
    ...good,
    KEEPER_DUTIES: 'propose, redeem',
    KEEPER_STAKES: `${token}:1000`,
    KEEPER_REDEEM_PRICES: `${token}:0.0005`,
  })
  expect([...duties.duties]).toEqual(['propose', 'redeem'])
  expect([...duties.stakes.values()]).toEqual([1_000n])
  expect([...duties.prices.values()]).toEqual([5n * 10n ** 14n])
  expect(loadConfig({ ...good, KEEPER_DUTIES: 'none' }).duties.duties.size).toBe(0)
  const message = problem({ ...good, KEEPER_DUTIES: 'propose,redeem', KEEPER_PORT: 'x' })
  expect(message).toContain('KEEPER_PORT=x')
  expect(message).toContain('KEEPER_STAKES: propose needs')
  expect(message).toContain('KEEPER_REDEEM_PRICES: redeem needs')
  for (const [key, value] of [
    ['KEEPER_DUTIES', 'guess'],
    ['KEEPER_STAKES', `${token}:1.5`],
    ['KEEPER_STAKES', '1000'],
    ['KEEPER_PEERS', 'ftp://peer'],
    ['KEEPER_REDEEM_PRICES', `${token}:-1`],
    ['KEEPER_REDEEM_GAS_PERCENT', '101'],
  ] as const)
    expect(problem({ ...good, [key]: value })).toContain(`${key}=${value}: `)
})

test('takes limits of providers by their names', () => {
  const limits = {
    KEEPER_PROVIDER_CONCURRENCY: 'gvisor=2,quickjs=8',
    KEEPER_PROVIDER_RATE: 'gvisor=60',
  }
  expect(loadConfig({ ...good, ...limits }).providerLimits).toEqual(
    new Map([
      ['gvisor', { concurrency: 2, perMinute: 60 }],
      ['quickjs', { concurrency: 8, perMinute: null }],
    ]),
  )
  for (const wrong of ['gvisor', 'gvisor=0', 'dreams=1', 'gvisor=2,', 'gvisor=1e3'])
    expect(problem({ ...good, KEEPER_PROVIDER_RATE: wrong })).toContain(
      `KEEPER_PROVIDER_RATE=${wrong}: calls a minute of providers, such as`,
    )
})
