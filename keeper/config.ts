import type { Hex } from 'viem'
import { z } from 'zod'
import { MultiverseError } from '../sdk/errors.ts'
import { SUPERVISED } from '../sdk/node/lifecycle.ts'

/** Chain id of a local development chain, where blocks are never taken back unless a test does it. */
export const LOCAL_CHAIN_ID = 31_337

/** What the keeper is told from outside, checked. The private key is read apart, where it is used. */
export type Config = {
  /** The data folder: holds deployment.json, the keeper's database, its worlds and its socket. */
  dataDir: string
  rpcUrl: string
  /** HTTP port on 127.0.0.1; 0 takes a free one. */
  port: number
  /** Blocks on top of a block before what depends on it is posted; null for the chain's default. */
  confirmations: number | null
  /** Milliseconds between looks at the head; null for the chain's default. */
  pollMs: number | null
  /** A Postgres to keep the books in; null for PGlite in the data folder. */
  databaseUrl: string | null
  /** Partitions worked on at the same time. */
  concurrency: number
  /** Milliseconds that one run of code in a world may take. */
  worldTimeMs: number
  /** Megabytes that a world may use. */
  worldMemoryMb: number
  /** Base URL of an IPFS gateway for ipfs:// specs; null for none. */
  ipfsGateway: string | null
  /** Milliseconds a spec may take to arrive. */
  specTimeoutMs: number
  /** Whether spec URLs may name private addresses and plain http. For tests only. */
  allowPrivateUrls: boolean
  logLevel: (typeof LOG_LEVELS)[number]
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

const PRIVATE_KEY = 'KEEPER_PRIVATE_KEY'

const whole = (what: string, min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `${what} from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `${what} from ${min} to ${max}`)

const url = (protocols: string[]) =>
  z.string().refine(
    (value) => {
      const parsed = URL.parse(value)
      return parsed !== null && protocols.includes(parsed.protocol)
    },
    `a URL that begins with ${protocols.map((each) => `${each}//`).join(' or ')}`,
  )

const flag = z.literal(['0', '1'], 'must be 0 or 1').transform((value) => value === '1')

const schema = z.object({
  MULTIVERSE_DATA: z.string('the path of the data folder'),
  MULTIVERSE_RPC_URL: url(['http:', 'https:']),
  KEEPER_PORT: whole('a port', 0, 65_535).default(0),
  KEEPER_CONFIRMATIONS: whole('a number of blocks', 0, 1_000).optional(),
  KEEPER_POLL_MS: whole('milliseconds', 10, 60_000).optional(),
  KEEPER_DATABASE_URL: url(['postgres:', 'postgresql:']).optional(),
  KEEPER_CONCURRENCY: whole('a number of partitions', 1, 256).default(8),
  KEEPER_WORLD_TIME_MS: whole('milliseconds', 10, 600_000).default(10_000),
  KEEPER_WORLD_MEMORY_MB: whole('megabytes', 1, 1_024).default(64),
  KEEPER_IPFS_GATEWAY: url(['http:', 'https:']).optional(),
  KEEPER_SPEC_TIMEOUT_MS: whole('milliseconds', 1, 120_000).default(10_000),
  KEEPER_ALLOW_PRIVATE_URLS: flag.default(false),
  KEEPER_LOG_LEVEL: z
    .literal([...LOG_LEVELS], `must be one of ${LOG_LEVELS.join(', ')}`)
    .default('info'),
  [PRIVATE_KEY]: z
    .string('the 32-byte hex key the keeper signs with')
    .refine(isPrivateKey, 'a 32-byte hex key that is a valid secp256k1 key'),
  [SUPERVISED]: flag.default(false),
})

/** Keys beginning with KEEPER_ that are another process's. */
const FOREIGN = ['KEEPER_URLS']

/**
 * Reads the configuration from environment variables; an empty value counts as unset.
 * @throws CONFIG_INVALID naming every key at fault at once, its value (unless it is a secret) and what is allowed
 */
export function loadConfig(env: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value))
  const parsed = schema.safeParse(given)
  const problems = [
    ...(parsed.error?.issues ?? []).map((issue) => {
      const key = String(issue.path[0])
      return `${key}=${shown(key, given[key])}: ${issue.message}`
    }),
    ...Object.keys(given)
      .filter((key) => key.startsWith('KEEPER_') && !(key in schema.shape))
      .filter((key) => !FOREIGN.includes(key))
      .map((key) => `${key}=${given[key]}: no such setting`),
  ]
  if (!parsed.success || problems.length > 0)
    throw new MultiverseError('CONFIG_INVALID', problems.join('; '))
  const { data } = parsed
  return {
    dataDir: data.MULTIVERSE_DATA,
    rpcUrl: data.MULTIVERSE_RPC_URL,
    port: data.KEEPER_PORT,
    confirmations: data.KEEPER_CONFIRMATIONS ?? null,
    pollMs: data.KEEPER_POLL_MS ?? null,
    databaseUrl: data.KEEPER_DATABASE_URL ?? null,
    concurrency: data.KEEPER_CONCURRENCY,
    worldTimeMs: data.KEEPER_WORLD_TIME_MS,
    worldMemoryMb: data.KEEPER_WORLD_MEMORY_MB,
    ipfsGateway: data.KEEPER_IPFS_GATEWAY ?? null,
    specTimeoutMs: data.KEEPER_SPEC_TIMEOUT_MS,
    allowPrivateUrls: data.KEEPER_ALLOW_PRIVATE_URLS,
    logLevel: data.KEEPER_LOG_LEVEL,
  }
}

/** The key the keeper signs with. Read where it is used, so that it is in no object that could be logged. */
export function readPrivateKey(env: Record<string, string | undefined>): Hex {
  const key = env[PRIVATE_KEY] ?? ''
  return (key.startsWith('0x') ? key : `0x${key}`) as Hex
}

function isPrivateKey(text: string): boolean {
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
  if (!/^(0x)?[0-9a-fA-F]{64}$/.test(text)) return false
  const value = BigInt(text.startsWith('0x') ? text : `0x${text}`)
  return value > 0n && value < order
}

/** A value as it may be shown; the key never is, nor a database password. */
function shown(key: string, value: string | undefined): string {
  if (value === undefined) return '(not set)'
  return key === PRIVATE_KEY || key === 'KEEPER_DATABASE_URL' ? '(hidden)' : value
}
