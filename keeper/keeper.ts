import type { LocalAccount } from 'viem'
import type { Patience } from '../providers/guard.ts'
import { DEFAULT_SEED } from '../providers/scenarios/scenario.ts'
import { isMultiverseError, MultiverseError, oneLine } from '../sdk/errors.ts'
import { networkOf, pollMsOf } from '../sdk/networks.ts'
import { dataPaths, readDeployment } from '../sdk/node/data.ts'
import { oraclesOf } from '../sdk/terms.ts'
import { claimKeeperSocket } from '../sdk/node/keeperSocket.ts'
import { createBooks, openStores } from './books.ts'
import { followDeployment } from './chain/following.ts'
import { createRpc, getRangeLogs, isMined } from './chain/rpc.ts'
import { verifyChain } from './chain/verify.ts'
import { readFacts } from './chain/facts.ts'
import { keepTime } from './clock.ts'
import type { Config } from './config.ts'
import { controlApp, publicApp, type Service, servePort, serveSocket } from './http.ts'
import type { Books } from './keeping.ts'
import type { Log } from './log.ts'
import { openAll } from './opening.ts'
import type { openBackends } from './providers.ts'
import { whenStarted } from './readiness.ts'
import { requireFunds, requireKnown } from './refusals.ts'
import { createReconciler, reconcileEvery } from './reconcile.ts'
import { untilSettled } from './settle.ts'
import { createService } from './service.ts'
import { openIdentity } from './store/identity.ts'
import { migrate } from './store/migrations.ts'
import { createDiscrepancies } from './store/reconcile.ts'
import { runtimeApp } from './runtime/http.ts'
import { createRuntime } from './runtime/runtime.ts'
import { openWorkshop } from './workshop.ts'

/** A running keeper. */
export type Keeper = {
  /** Where its HTTP listens on 127.0.0.1. */
  port: number
  /** Resolves when the chain was followed to its head once and nothing is left that can be done now. */
  settled: Promise<void>
  /** Takes in nothing more, ends what runs, closes everything. Whatever was begun goes on at the next start. */
  stop: () => Promise<void>
}

export type KeeperOptions = {
  config: Config
  /** What it signs with: a key of this process or a remote signer's. */
  account: LocalAccount
  /** It cannot go on: another chain, for one. It is to be stopped. */
  onFatal: (error: MultiverseError) => void
  log: Log
  /** Opens the providers that it is configured with; by default those of the registry. */
  open?: typeof openBackends
  /** How long providers may leave it without an answer. */
  patience?: Patience
  /** Where the registry looks for vendors' credentials; by default nowhere. */
  env?: Readonly<Record<string, string | undefined>>
  /** Stands between the keeper and its books: tests end it there. By default nothing does. */
  through?: (books: Books) => Books
}

/**
 * Starts a keeper on a data folder. It listens at once, ready or not, and follows the chain as soon as it answers.
 * @throws UNKNOWN_CHAIN, NO_FUNDS, NO_DEPLOYMENT, DEPLOYMENT_INVALID, OTHER_CHAIN, NO_CONTRACT, OTHER_CODE, DATA_TOO_NEW, DATA_INVALID, OTHER_DEPLOYMENT, SCHEMA_TOO_NEW, LOCKED, PORT_IN_USE, DATABASE_FAILED, DATABASE_UNREADABLE
 */
export async function startKeeper(options: KeeperOptions): Promise<Keeper> {
  const { account, config, log } = options
  const paths = dataPaths(config.dataDir)
  const deployment = await readDeployment(config.dataDir)
  const { chainId, addresses } = deployment
  const network = networkOf(chainId)
  requireKnown(network, config.confirmations)
  // What is final by the chain's own word is never so at once.
  const leastDepth = config.finality === 'latest' ? 0 : 1
  const confirmations = Math.max(leastDepth, config.confirmations ?? network.confirmations)
  const pollMs = config.pollMs ?? pollMsOf(network)
  log.info(
    { chainId, keeper: account.address, confirmations, pollMs, dataDir: config.dataDir },
    'keeper.starting',
  )

  /** What was opened, to be closed in the reverse order. */
  const open: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const each of open.toReversed()) await each()
  }
  let isStopping = false
  let service: Service | null = null
  try {
    const http = await servePort(
      publicApp(
        whenStarted(() => service),
        log,
      ),
      config.port,
    )
    open.push(http.close)
    log.info({ port: http.port }, 'http.listening')

    const rpc = createRpc(config.rpcUrls, deployment, config.rpcTimeoutMs, log)
    open.push(async () => rpc.endpoints.close())
    // Before anything is made for a chain that is not the deployment's. One that does not answer now is waited for later.
    const check = async () => {
      await verifyChain(rpc, deployment)
      if (!config.isDryRun) await requireFunds(rpc, account.address, chainId)
    }
    let isChecked = true
    await check().catch((error: MultiverseError) => {
      // Who runs once does not wait.
      if (!error.isRetryable || config.isOneShot) throw error
      isChecked = false
    })
    const { db, backends, listed } = await openAll(config, options, (each) => open.push(each))
    await migrate(db)
    const identity = await openIdentity(db, deployment)
    const stores = await openStores(db, identity, log, {
      ...oraclesOf(deployment),
      own: account.address,
    })
    const { journal, queue } = stores
    open.push(() => journal.flush())
    const { chain, partitions, providers, verses, worlds, names, metrics, sending, jobs } =
      await openWorkshop({
        config,
        deployment,
        account,
        confirmations,
        pollMs,
        rpc,
        db,
        identity,
        stores,
        backends,
        listed,
        patience: options.patience,
        through: options.through,
        newestSeen: () => follower.state().newest,
        isStopping: () => isStopping,
        log,
      })
    const { multiverse } = addresses

    const firstBlock = Math.max(deployment.startBlock, config.startBlock ?? 0)
    const follower = followDeployment(config, {
      rpc,
      deployment,
      keeper: account.address,
      window: await chain.window(),
      startBlock: firstBlock,
      pollMs,
      apply: (change) => chain.apply(change),
      onRecovered: async () => {
        await chain.wakeOpen()
        await jobs.wakeOpen()
      },
      onFatal: options.onFatal,
      log,
    })
    open.push(() => follower.stop())
    open.push(sending.keepTending())
    open.push(keepTime({ queue, log }).stop)
    const reconciler = createReconciler({
      providers,
      verses,
      worlds,
      chain,
      books: createDiscrepancies({ db, queue, chainId, multiverse }),
      startBlock: firstBlock,
      readFacts: async (from, to) => {
        const logs = await getRangeLogs(rpc, [multiverse, addresses.worlds], from, to)
        return readFacts(logs, { multiverse, worlds: addresses.worlds, keeper: account.address })
      },
      isMined: (hash) => isMined(rpc, hash),
      metrics,
      log,
    })
    service = createService({
      config,
      deployment,
      address: account.address,
      db,
      books: createBooks(db, identity, stores, log),
      chain,
      partitions,
      journal,
      follower,
      jobs,
      reconciler,
      worlds,
      names,
      metrics,
    })
    const runtime = createRuntime({
      providers,
      verses,
      journal,
      names,
      folder: paths.worlds,
      env: options.env ?? {},
    })
    const claimed = await claimKeeperSocket(config.dataDir)
    open.push(claimed.release)
    const app = controlApp(service, log).route('/runtime', runtimeApp(runtime, log))
    const control = await serveSocket(app, claimed.path)
    open.push(control.close)

    /** Begins with the work once it is known how things stand on the chain. */
    const working = follower.caughtUp.then(async () => {
      if (isStopping) return
      if (!isChecked) await check()
      await sending.tend()
      await reconciler.run({ isFirst: true })
      await jobs.start()
      await chain.wakeOpen()
      await jobs.wakeOpen()
      open.push(reconcileEvery(config.reconcileS, reconciler, log).stop)
      providers.warm(BigInt(DEFAULT_SEED))
      log.info({ head: chain.view().head?.number, port: http.port }, 'keeper.ready')
    })
    working.catch((error: unknown) => {
      if (!isStopping) options.onFatal(fatal(error))
    })

    const settled = working.then(() =>
      untilSettled({ rpc, chain, queue, isStopping: () => isStopping }),
    )
    // Whoever does not run once does not wait for it.
    settled.catch(() => {})

    return {
      port: http.port!,
      settled,
      async stop() {
        log.info({}, 'keeper.stopping')
        isStopping = true
        sending.sender.stop()
        await follower.stop()
        await working.catch(() => {})
        await runtime.stop()
        // Programs that run are cut off; their steps are intended and will be done again.
        await providers.shutdown()
        await queue.stop()
        await close()
        log.info({}, 'keeper.stopped')
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

function fatal(error: unknown): MultiverseError {
  return isMultiverseError(error)
    ? error
    : new MultiverseError('UNEXPECTED', oneLine(error), { cause: error })
}
