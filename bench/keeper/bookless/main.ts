import { openKeeperAccount } from '../../../keeper/account.ts'
import { createRpc } from '../../../keeper/chain/rpc.ts'
import { followDeployment } from '../../../keeper/chain/following.ts'
import { loadConfig } from '../../../keeper/config.ts'
import { createNames } from '../../../keeper/jobs/key.ts'
import { createLanes } from '../../../keeper/jobs/lanes.ts'
import { createKeyedLock } from '../../../keeper/jobs/lock.ts'
import { createPartitionJobs } from '../../../keeper/jobs/partition.ts'
import { createPipeline, type Pipeline } from '../../../keeper/jobs/pipeline.ts'
import { createReporting } from '../../../keeper/jobs/reporting.ts'
import { createVerseIndex } from '../../../keeper/jobs/verses.ts'
import { createWorlds } from '../../../keeper/jobs/worlds/worlds.ts'
import { createLog, errorFields } from '../../../keeper/log.ts'
import { createMetrics } from '../../../keeper/metrics.ts'
import { employ, openBackends } from '../../../keeper/providers.ts'
import { createSending } from '../../../keeper/sending.ts'
import { createSpecLoader } from '../../../keeper/specs.ts'
import { oneLine } from '../../../sdk/errors.ts'
import { networkOf, pollMsOf } from '../../../sdk/networks.ts'
import { dataPaths, readDeployment } from '../../../sdk/node/data.ts'
import { createMemoryBooks } from './books.ts'
import { createMemoryQueue } from './queue.ts'
import { createMemoryTxs } from './txs.ts'

// A keeper whose job store is switched off: follower, pipeline, worlds, verifier, reports and sender are the keeper's own, but what
// they would write down stays in maps. For the price of durability only: it answers no questions, serves nothing and forgets all.

const config = loadConfig(process.env)
const log = createLog(config.logLevel)
const account = await openKeeperAccount(process.env)
const deployment = await readDeployment(config.dataDir)
const { addresses, chainId } = deployment
const { multiverse, worlds: notebook } = addresses
const pollMs = config.pollMs ?? pollMsOf(networkOf(chainId))
const confirmations = config.confirmations ?? 0
const rpc = createRpc(config.rpcUrls, deployment, config.rpcTimeoutMs, log)

const crashed = (error: unknown) => {
  process.stderr.write(`error: ${oneLine(error)}\n`)
  process.exit(1)
}
process.on('unhandledRejection', crashed)

const queue = createMemoryQueue(crashed)
const books = createMemoryBooks({ chainId, multiverse }, confirmations, queue.add)
const { chain, partitions, specs, tell: write } = books
const verses = createVerseIndex()
const names = createNames('bookless')
const locked = createKeyedLock()
const providers = await employ(
  await openBackends({
    ids: config.providers,
    folder: dataPaths(config.dataDir).worlds,
    limits: { timeMs: config.worldTimeMs, memoryBytes: config.worldMemoryMb * 2 ** 20 },
  }),
  {
    write,
    known: [],
    verses,
    warmWorlds: 0,
    onCreated: () => {},
    onError: (error) => log.warn(errorFields(error), 'world.unready'),
  },
)
const nothing = async () => []
const metrics = createMetrics({
  headBlock: () => null,
  headTime: () => null,
  partitions: nothing,
  jobs: nothing,
  liveWorlds: () => worlds.list().length,
  lag: () => null,
  deadLetters: async () => 0,
  transactions: nothing,
  doubled: async () => 0,
  account: () => sender.conditions(),
})
const txs = createMemoryTxs()
const { sender } = createSending({ config, deployment, account, rpc, txs, pollMs, metrics, log })
const worlds = createWorlds({
  providers,
  verses,
  partitions,
  names,
  locked,
  ensureExecuted: (key) => pipeline.ensureExecuted(key),
  log,
})
const lanes = createLanes({ providers, worlds, write, log })
const loadSpec = createSpecLoader({
  ipfsGateway: null,
  timeoutMs: config.specTimeoutMs,
  allowPrivateUrls: false,
})
const pipeline: Pipeline = createPipeline({
  partitions,
  specs,
  worlds,
  lanes,
  loadSpec,
  metrics,
  log,
})
const common = { chain, partitions, pipeline, names, confirmations, metrics, log }
const absent = async (): Promise<never> => {
  throw new Error('a keeper without books answers nothing')
}
const jobs = createPartitionJobs({
  ...common,
  worlds,
  locked,
  address: account.address,
  report: createReporting({ ...common, rpc, journal: books, sender, notebook }),
  admit: async () => ({ kind: 'admit' }),
  answers: { want: absent },
  queue: { add: absent, addLater: absent, wake: () => {} },
})
const follower = followDeployment(config, {
  rpc,
  deployment,
  keeper: account.address,
  window: [],
  startBlock: deployment.startBlock,
  pollMs,
  apply: chain.apply,
  onRecovered: async () => {},
  onFatal: crashed,
  log,
})

process.once('SIGTERM', () => void stop())
await follower.caughtUp
queue.work(config.concurrency, (key) => jobs.run(key))
providers.warm(0n)
log.info({}, 'keeper.ready')

async function stop(): Promise<void> {
  sender.stop()
  await follower.stop()
  await queue.stop()
  await providers.shutdown()
  process.exit(0)
}
