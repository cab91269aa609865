import { cpSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Hex, zeroHash } from 'viem'
import { openKeeperAccount } from '../../keeper/account.ts'
import { loadConfig } from '../../keeper/config.ts'
import { type KeeperOptions, startKeeper } from '../../keeper/keeper.ts'
import { createLog, type Log } from '../../keeper/log.ts'
import { type Database, openFolder } from '../../keeper/store/database.ts'
import { migrate } from '../../keeper/store/migrations.ts'
import type { PartitionView } from '../../keeper/views.ts'
import { multiverseAbi, worldsAbi } from '../../sdk/abi.ts'
import { approve, ask, mint, pushDown } from '../../sdk/actions.ts'
import { type Path, questionId, type QuestionTerms } from '../../sdk/ids.ts'
import { type JournalEntry, journalPageSchema } from '../../sdk/journal.ts'
import { dataPaths } from '../../sdk/node/data.ts'
import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import { parseSpec, type Spec, specDataUri } from '../../sdk/spec.ts'
import type { LocalChain } from '../helpers/chain.ts'
import { madeOnce } from '../helpers/shared.ts'

// What the keeper's tests share: data folders, specs, questions, and a client of its socket.

/** The keeper's account among the chain's, and a wallet that is only a user. */
export const KEEPER = 9
export const USER = 0
const DEPLOYER = 8

/** For tests that start processes and chains: a machine that does much else at once is no failure. */
export const PATIENT = { testTimeout: 240_000, hookTimeout: 240_000 }

/** Data folders that begin with a database that is made already, as making one takes seconds. */
export type Folders = {
  create: (chain: Pick<LocalChain, 'deployment'>) => Promise<string>
  /** Opens such a database alone. */
  open: (log: Log) => Promise<Database>
  remove: () => Promise<void>
}

export async function createFolders(): Promise<Folders> {
  const root = await mkdtemp(join(tmpdir(), 'keeper-test-'))
  const template = await madeOnce('keeper-books', root, async (path) => {
    const db = await openFolder(path, createLog('silent'))
    await migrate(db)
    await db.close()
  })
  let count = 0
  return {
    async open(log) {
      const folder = join(root, `books-${++count}`)
      copy(template, folder)
      return openFolder(folder, log)
    },
    async create({ deployment }) {
      const dataDir = join(root, `data-${++count}`)
      copy(template, dataPaths(dataDir).keeper)
      await writeFile(dataPaths(dataDir).deployment, JSON.stringify(deployment))
      return dataDir
    },
    remove: () => rm(root, { recursive: true, force: true }),
  }
}

/** At one go: file by file it takes five times the processor's time. */
function copy(from: string, to: string): void {
  cpSync(from, to, { recursive: true })
}

/** A spec of three verses whose programs cost 4, 3 and 5, after a setup that they build on. */
export function spec(changes: Partial<Spec> = {}): Spec {
  return {
    version: 1,
    title: 'Which road?',
    verses: [
      { name: 'nash', strategy: 'selfish', trit: -1, probability: '0.45' },
      { name: 'optimal', strategy: 'cooperative', trit: 0, probability: '0.35' },
      { name: 'chaos', strategy: 'random', trit: 1, probability: '0.2' },
    ],
    void: { name: 'void', probability: '0' },
    setup: 'globalThis.base = 3',
    program: `
      globalThis.base += Math.random() * 0
      const extra = { selfish: 1, cooperative: 0, random: 2 }[input.verse.strategy]
      return { cost: globalThis.base + extra }`,
    needs: { parallel: true, optimize: false, verify: false },
    outcome: { source: 'manual' },
    seed: 1069,
    ...changes,
  }
}

/** A spec with one program for all verses. */
export const programmed = (program: string, changes: Partial<Spec> = {}) =>
  spec({ program, ...changes })

export type Asked = { question: Hex; json: string; terms: QuestionTerms }

/** Asks a question whose oracle is the keeper. Each call asks another one. */
export async function askQuestion(
  chain: LocalChain,
  asked: Spec,
  options: {
    uri?: string
    deadlineInS?: number
    specHash?: Hex
    oracle?: Hex
    termsHash?: Hex
  } = {},
): Promise<Asked> {
  const json = JSON.stringify(asked)
  const { specHash } = parseSpec(json)
  const { timestamp } = await chain.publicClient.getBlock()
  const terms = {
    oracle: options.oracle ?? chain.accounts[KEEPER]!.address,
    outcomes: asked.verses.length + 1,
    // Distinct, so that equal specs make distinct questions.
    deadline: timestamp + BigInt(options.deadlineInS ?? 100_000) + BigInt(++questions),
    specHash: options.specHash ?? specHash,
    termsHash: options.termsHash ?? zeroHash,
  }
  const { multiverse } = chain.deployment.addresses
  await ask(chain.wallet(USER), { multiverse, ...terms, uri: options.uri ?? specDataUri(json) })
  return { question: questionId(terms), json, terms }
}
let questions = 0

/** Gives the user tokens that the ledger may take. */
export async function fund(chain: LocalChain): Promise<void> {
  const { token, multiverse } = chain.deployment.addresses
  const to = chain.accounts[USER]!.address
  await mint(chain.wallet(DEPLOYER), { token, to, amount: 10n ** 24n })
  await approve(chain.wallet(USER), { token, spender: multiverse, amount: 10n ** 24n })
}

export const push = (chain: LocalChain, question: Hex, path: Path = [], amount = 100n) =>
  pushDown(chain.wallet(USER), { ...chain.deployment.addresses, path, question, amount })

export type Answered = { status: number; body: unknown }

/** A client of a keeper's socket. */
export type KeeperClient = {
  call: (method: string, path: string, body?: unknown) => Promise<Answered>
  partition: (parent: Hex, question: Hex) => Promise<PartitionView | null>
  /** Waits until a partition is as wanted. */
  until: (
    parent: Hex,
    question: Hex,
    wanted: (partition: PartitionView) => boolean,
    timeoutMs?: number,
  ) => Promise<PartitionView>
  answer: (question: Hex, outcome: number | string) => Promise<Answered>
}

export function keeperClient(dataDir: string): KeeperClient {
  async function call(method: string, path: string, body?: unknown) {
    const socketPath = await keeperSocketPath(dataDir)
    return new Promise<{ status: number; body: unknown }>((resolve, reject) => {
      const sent = request({ socketPath, method, path, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (text += chunk))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as unknown }),
        )
        response.on('error', reject)
      })
      sent.on('error', reject)
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }
  async function partition(parent: Hex, question: Hex) {
    const { status, body } = await call('GET', `/partitions/${parent}/${question}`)
    return status === 200 ? (body as PartitionView) : null
  }
  return {
    call,
    partition,
    until: (parent, question, wanted, timeoutMs) =>
      eventually(
        `partition ${question}`,
        async () => {
          // It may be starting again.
          const present = await partition(parent, question).catch(() => null)
          return { value: present, isReached: present !== null && wanted(present) }
        },
        timeoutMs,
      ) as Promise<PartitionView>,
    answer: (question, outcome) => call('POST', '/answers', { question, outcome }),
  }
}

/** Everything in a keeper's journal so far. */
export async function readJournal(port: number): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = []
  for (;;) {
    const response = await fetch(
      `http://127.0.0.1:${port}/journal?after=${entries.length}&limit=100`,
    )
    const page = journalPageSchema.parse(await response.json())
    entries.push(...page.entries)
    if (page.entries.length === 0) return entries
  }
}

/** Asks again and again until the answer is good; fails after a while with the last one. */
export async function eventually<T>(
  what: string,
  look: () => Promise<{ value: T; isReached: boolean }>,
  timeoutMs = 120_000,
): Promise<T> {
  const begun = performance.now()
  for (;;) {
    const { value, isReached } = await look()
    if (isReached) return value
    const waitedMs = performance.now() - begun
    if (waitedMs > timeoutMs)
      throw new Error(`${what} did not come to pass; last seen: ${JSON.stringify(value)}`)
    // Soon at first; whoever is waited for long is not kept from its work by the asking.
    const waitMs = Math.min(Math.max(5, waitedMs / 10), 200)
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

/** A keeper in this process on a data folder of its own. */
export type TestKeeper = KeeperClient & {
  dataDir: string
  port: number
  journal: () => Promise<JournalEntry[]>
  /** The codes with which it could not go on. */
  fatal: string[]
  stop: () => Promise<void>
}

export async function startTestKeeper(
  chain: LocalChain,
  dataDir: string,
  env: Record<string, string> = {},
  options: Pick<KeeperOptions, 'open' | 'patience' | 'through'> = {},
): Promise<TestKeeper> {
  const fatal: string[] = []
  const whole = keeperEnv(chain, dataDir, { KEEPER_LOG_LEVEL: 'silent', ...env })
  const config = loadConfig(whole)
  const keeper = await startKeeper({
    config,
    account: await openKeeperAccount(whole),
    onFatal: ({ code }) => void fatal.push(code),
    log: createLog(config.logLevel),
    ...options,
  })
  return {
    ...keeperClient(dataDir),
    dataDir,
    port: keeper.port,
    fatal,
    journal: () => readJournal(keeper.port),
    stop: keeper.stop,
  }
}

/** The environment of a keeper of the local chain. */
export function keeperEnv(
  chain: Pick<LocalChain, 'url' | 'privateKey'>,
  dataDir: string,
  env: Record<string, string> = {},
): Record<string, string> {
  return {
    MULTIVERSE_DATA: dataDir,
    MULTIVERSE_RPC_URL: chain.url,
    KEEPER_PRIVATE_KEY: chain.privateKey(KEEPER),
    ...env,
  }
}

/** The keeper's reports of partitions by a question on the chain. */
export const reportsOf = (chain: LocalChain, question: Hex) =>
  chain.publicClient.getContractEvents({
    address: chain.deployment.addresses.worlds,
    abi: worldsAbi,
    eventName: 'PartitionReported',
    args: { keeper: chain.accounts[KEEPER]!.address, question },
    fromBlock: 0n,
    strict: true,
  })

/** The answers to a question on the chain. */
export const answersOf = (chain: LocalChain, question: Hex) =>
  chain.publicClient.getContractEvents({
    address: chain.deployment.addresses.multiverse,
    abi: multiverseAbi,
    eventName: 'QuestionResolved',
    args: { question },
    fromBlock: 0n,
    strict: true,
  })

/** The end of a partition that is expected to be resolved: at once told from one that never will be. */
export async function resolvedEnd(
  client: KeeperClient,
  parent: Hex,
  question: Hex,
  timeoutMs?: number,
): Promise<PartitionView> {
  const isOver = ({ state }: PartitionView) => state === 'resolved' || state === 'failed'
  const partition = await client.until(parent, question, isOver, timeoutMs)
  if (partition.state === 'failed')
    throw new Error(`partition ${question} failed: ${JSON.stringify(partition.error)}`)
  return partition
}

export const isState = (state: string) => (partition: PartitionView) => partition.state === state
