import { parseEther } from 'viem'
import { z } from 'zod'
import { providerIds } from '../providers/registry.ts'
import { MultiverseError } from '../sdk/errors.ts'
import { checkKeySettings, keyVariables } from '../sdk/node/keys/keyring.ts'
import { SUPERVISED } from '../sdk/node/lifecycle.ts'
import { type AllowedCall, OWN_CALLS, parseAllowedCall } from './tx/policy.ts'
import type { TxLimits } from './tx/send.ts'
import { dutyConfig, type DutyConfig, dutyProblems, dutySettings } from './oracles/settings.ts'
import type { Served } from './jobs/served.ts'
import type { ProviderLimits } from './limits.ts'
import { servedOf, servedSettings } from './servedConfig.ts'

/** What the keeper is told from outside, checked. Its key is opened apart: see account.ts. */
export type Config = {
  /** The data folder: holds deployment.json, the keeper's database, its worlds and its socket. */
  dataDir: string
  /** Endpoints in order of preference: http, https, ws or wss. */
  rpcUrls: readonly string[]
  /** Milliseconds that an endpoint may take to answer. */
  rpcTimeoutMs: number
  /** HTTP port on 127.0.0.1; 0 takes a free one. */
  port: number
  /** Blocks on top of a block before what depends on it is posted; null for the chain's default. */
  confirmations: number | null
  /** What the chain itself must say of a block, beside its depth, before what depends on it is posted. */
  finality: (typeof FINALITIES)[number]
  /** Nothing before this block is read; null for the deployment's first. */
  startBlock: number | null
  /** Milliseconds between looks at the head; null for the chain's default. */
  pollMs: number | null
  /** A Postgres to keep the books in; null for PGlite in the data folder. */
  databaseUrl: string | null
  /** Partitions worked on at the same time. */
  concurrency: number
  /** Backends of worlds, in order of preference: the first that runs a spec's language runs its worlds. */
  providers: readonly string[]
  /** New worlds kept ready of each backend that boots slowly. */
  warmWorlds: number
  /** Processes that do lanes again; null for one for each core. */
  verifiers: number | null
  /** What each provider may be asked for, by its name. */
  providerLimits: ReadonlyMap<string, ProviderLimits>
  /** Milliseconds that one run of code in a world may take. */
  worldTimeMs: number
  /** Megabytes that a world may use. */
  worldMemoryMb: number
  /** Percent of a core that one run may take, in backends that can hold it to that. */
  worldCpuPercent: number
  /** Base URL of an IPFS gateway for ipfs:// specs; null for none. */
  ipfsGateway: string | null
  /** Milliseconds a spec may take to arrive. */
  specTimeoutMs: number
  /** Whether spec URLs may name private addresses and plain http. For tests only. */
  allowPrivateUrls: boolean
  /** What new work stops at: core-seconds that providers spend in a UTC day, and for one verse; null for no bound. */
  budget: { perDay: number | null; perVerse: number | null }
  tx: TxLimits
  /** What the key may call. */
  allowedCalls: readonly AllowedCall[]
  /** Seconds between comparisons of chain, books and worlds. */
  reconcileS: number
  /** Milliseconds that a stop may take before the process ends however far it is. */
  stopMs: number
  /** Do everything but send transactions: what would be sent is logged. */
  isDryRun: boolean
  /** Follow the chain to its head, settle what can be settled, and end. */
  isOneShot: boolean
  /** Whose partitions it works on. */
  served: Served
  /** What it does for oracles and owners. */
  duties: DutyConfig
  logLevel: (typeof LOG_LEVELS)[number]
}

const FINALITIES = ['latest', 'safe', 'finalized'] as const

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

const keys = keyVariables('KEEPER_')

const whole = (what: string, min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `${what} from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `${what} from ${min} to ${max}`)

const amount = (what: string) =>
  z
    .string()
    .regex(/^\d{1,12}(\.\d{1,6})?$/, `${what}, such as 3600 or 0.5`)
    .transform(Number)

/** An amount of `unit` in its smallest part. */
const coins = (what: string, unit: 'ether' | 'gwei') =>
  z
    .string()
    .regex(/^\d{1,12}(\.\d{1,9})?$/, `${what}, such as 20 or 0.05`)
    .transform((value) => parseEther(value, unit === 'gwei' ? 'gwei' : 'wei'))

const url = (protocols: string[]) =>
  z.string().refine(
    (value) => {
      const parsed = URL.parse(value)
      return parsed !== null && protocols.includes(parsed.protocol)
    },
    `a URL that begins with ${protocols.map((each) => `${each}//`).join(' or ')}`,
  )

const namesOf = (text: string) => text.split(',').map((name) => name.trim())

const urls = (protocols: string[]) =>
  z
    .string()
    .transform(namesOf)
    .pipe(z.array(url(protocols)))

function readAllowedCalls(text: string, context: z.RefinementCtx): AllowedCall[] {
  const calls = namesOf(text).map(parseAllowedCall)
  if (calls.every((call) => call !== null)) return calls
  const message =
    'calls such as multiverse.narrow, worlds.report or 0xADDRESS.0xSELECTOR, with commas between them'
  context.addIssue({ code: 'custom', message })
  return z.NEVER
}

function checkProviders(names: readonly string[], context: z.RefinementCtx): void {
  if (names.every((name) => providerIds.includes(name)) && new Set(names).size === names.length)
    return
  const message = `different names from ${providerIds.join(', ')}, with commas between them`
  context.addIssue({ code: 'custom', message })
}

/** A number for some providers: `gvisor=2,microvm=4`. */
const perProvider = (what: string) =>
  z.string().transform((text, context) => {
    const pairs = namesOf(text).map((pair) => /^([a-z]+)=([1-9]\d{0,4})$/.exec(pair))
    const isRight = pairs.every((pair) => pair !== null && providerIds.includes(pair[1]!))
    if (!isRight) {
      const message = `${what} of providers, such as gvisor=2,quickjs=8, of ${providerIds.join(', ')}`
      context.addIssue({ code: 'custom', message })
      return z.NEVER
    }
    return new Map(pairs.map((pair) => [pair![1]!, Number(pair![2])]))
  })

function limitsOf(
  concurrency: ReadonlyMap<string, number> = new Map(),
  rate: ReadonlyMap<string, number> = new Map(),
): ReadonlyMap<string, ProviderLimits> {
  return new Map(
    [...new Set([...concurrency.keys(), ...rate.keys()])].map((id) => [
      id,
      { concurrency: concurrency.get(id) ?? null, perMinute: rate.get(id) ?? null },
    ]),
  )
}

const flag = z.literal(['0', '1'], 'must be 0 or 1').transform((value) => value === '1')

/** The settings by their variables. */
export const settings = z.object({
  MULTIVERSE_DATA: z.string('the path of the data folder'),
  MULTIVERSE_RPC_URL: url(['http:', 'https:']),
  KEEPER_RPC_URLS: urls(['http:', 'https:', 'ws:', 'wss:']).optional(),
  KEEPER_RPC_TIMEOUT_MS: whole('milliseconds', 100, 120_000).default(10_000),
  KEEPER_PORT: whole('a port', 0, 65_535).default(0),
  KEEPER_CONFIRMATIONS: whole('a number of blocks', 0, 1_000).optional(),
  KEEPER_FINALITY: z
    .literal([...FINALITIES], `must be one of ${FINALITIES.join(', ')}`)
    .default('latest'),
  KEEPER_START_BLOCK: whole('a block', 0, 999_999_999).optional(),
  KEEPER_POLL_MS: whole('milliseconds', 10, 60_000).optional(),
  KEEPER_DATABASE_URL: url(['postgres:', 'postgresql:']).optional(),
  KEEPER_CONCURRENCY: whole('a number of partitions', 1, 256).default(8),
  KEEPER_PROVIDERS: z.string().default('quickjs').transform(namesOf).superRefine(checkProviders),
  KEEPER_PROVIDER_CONCURRENCY: perProvider('calls at the same time').optional(),
  KEEPER_PROVIDER_RATE: perProvider('calls a minute').optional(),
  KEEPER_WARM_WORLDS: whole('a number of worlds', 0, 64).default(1),
  KEEPER_VERIFIERS: whole('a number of processes', 1, 256).optional(),
  KEEPER_WORLD_TIME_MS: whole('milliseconds', 10, 600_000).default(10_000),
  KEEPER_WORLD_MEMORY_MB: whole('megabytes', 1, 1_024).default(64),
  KEEPER_WORLD_CPU_PERCENT: whole('percent of a core', 1, 100).default(100),
  KEEPER_IPFS_GATEWAY: url(['http:', 'https:']).optional(),
  KEEPER_SPEC_TIMEOUT_MS: whole('milliseconds', 1, 120_000).default(10_000),
  KEEPER_ALLOW_PRIVATE_URLS: flag.default(false),
  KEEPER_BUDGET_DAY: amount('core-seconds').optional(),
  KEEPER_BUDGET_VERSE: amount('core-seconds').optional(),
  KEEPER_MAX_FEE_GWEI: coins('gwei for a unit of gas', 'gwei').default(parseEther('200', 'gwei')),
  KEEPER_SPEND_LIMIT_ETH: coins('ether in 24 hours', 'ether').optional(),
  KEEPER_STUCK_SECONDS: whole('seconds', 1, 86_400).default(45),
  KEEPER_BALANCE_ALARM_ETH: z
    .string()
    .default('0.1,0.02')
    .transform(namesOf)
    .pipe(z.array(coins('ether', 'ether'))),
  KEEPER_ALLOWED_CALLS: z.string().transform(readAllowedCalls).optional(),
  KEEPER_RECONCILE_SECONDS: whole('seconds', 1, 86_400).default(300),
  ...servedSettings,
  KEEPER_STOP_MS: whole('milliseconds', 100, 600_000).default(9_000),
  KEEPER_DRY_RUN: flag.default(false),
  KEEPER_ONE_SHOT: flag.default(false),
  ...dutySettings,
  KEEPER_LOG_LEVEL: z
    .literal([...LOG_LEVELS], `must be one of ${LOG_LEVELS.join(', ')}`)
    .default('info'),
  [SUPERVISED]: flag.default(false),
})

/** Keys beginning with KEEPER_ that are another process's. */
const FOREIGN: string[] = ['KEEPER_URLS', ...Object.values(keys)]

/**
 * Reads the configuration from environment variables; an empty value counts as unset.
 * @throws CONFIG_INVALID naming every key at fault at once, its value (unless it is a secret) and what is allowed
 */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value))
  const parsed = settings.safeParse(given)
  const problems = [
    ...(parsed.error?.issues ?? []).map((issue) => {
      const key = String(issue.path[0])
      return `${key}=${shown(key, given[key])}: ${issue.message}`
    }),
    ...Object.keys(given)
      .filter((key) => key.startsWith('KEEPER_') && !(key in settings.shape))
      .filter((key) => !FOREIGN.includes(key))
      // Without the value: the name may be a secret's, misspelt.
      .map((key) => `${key}: no such setting`),
    ...dutyProblems(given),
    ...keyProblems(given),
  ]
  if (!parsed.success || problems.length > 0)
    throw new MultiverseError('CONFIG_INVALID', problems.join('; '))
  const { data } = parsed
  return {
    dataDir: data.MULTIVERSE_DATA,
    rpcUrls: data.KEEPER_RPC_URLS ?? [data.MULTIVERSE_RPC_URL],
    rpcTimeoutMs: data.KEEPER_RPC_TIMEOUT_MS,
    port: data.KEEPER_PORT,
    confirmations: data.KEEPER_CONFIRMATIONS ?? null,
    finality: data.KEEPER_FINALITY,
    startBlock: data.KEEPER_START_BLOCK ?? null,
    pollMs: data.KEEPER_POLL_MS ?? null,
    databaseUrl: data.KEEPER_DATABASE_URL ?? null,
    concurrency: data.KEEPER_CONCURRENCY,
    providers: data.KEEPER_PROVIDERS,
    providerLimits: limitsOf(data.KEEPER_PROVIDER_CONCURRENCY, data.KEEPER_PROVIDER_RATE),
    warmWorlds: data.KEEPER_WARM_WORLDS,
    verifiers: data.KEEPER_VERIFIERS ?? null,
    worldTimeMs: data.KEEPER_WORLD_TIME_MS,
    worldMemoryMb: data.KEEPER_WORLD_MEMORY_MB,
    worldCpuPercent: data.KEEPER_WORLD_CPU_PERCENT,
    ipfsGateway: data.KEEPER_IPFS_GATEWAY ?? null,
    specTimeoutMs: data.KEEPER_SPEC_TIMEOUT_MS,
    allowPrivateUrls: data.KEEPER_ALLOW_PRIVATE_URLS,
    budget: {
      perDay: data.KEEPER_BUDGET_DAY ?? null,
      perVerse: data.KEEPER_BUDGET_VERSE ?? null,
    },
    tx: {
      maxFeePerGas: data.KEEPER_MAX_FEE_GWEI,
      spendPerDay: data.KEEPER_SPEND_LIMIT_ETH ?? null,
      stuckMs: data.KEEPER_STUCK_SECONDS * 1_000,
      balanceAlarms: data.KEEPER_BALANCE_ALARM_ETH,
    },
    allowedCalls: data.KEEPER_ALLOWED_CALLS ?? OWN_CALLS,
    reconcileS: data.KEEPER_RECONCILE_SECONDS,
    served: servedOf(data),
    stopMs: data.KEEPER_STOP_MS,
    isDryRun: data.KEEPER_DRY_RUN,
    isOneShot: data.KEEPER_ONE_SHOT,
    duties: dutyConfig(data),
    logLevel: data.KEEPER_LOG_LEVEL,
  }
}

function keyProblems(env: Record<string, string | undefined>): string[] {
  const problem = checkKeySettings(env, 'KEEPER_')
  if (problem !== null) return [problem.message]
  const { wallet, signerUrl, privateKey } = keys
  return env[wallet] || env[signerUrl] || env[privateKey]
    ? []
    : [`none of ${wallet}, ${signerUrl} and ${privateKey} is set: one says with which key to sign`]
}

/** Passwords and keys of endpoints stand in URLs. */
const SECRETS = ['KEEPER_DATABASE_URL', 'KEEPER_RPC_URLS']

/** A value as it may be shown. */
function shown(key: string, value: string | undefined): string {
  if (value === undefined) return '(not set)'
  return SECRETS.includes(key) ? '(hidden)' : value
}
