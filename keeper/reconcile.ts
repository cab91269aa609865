import type { Hex } from 'viem'
import type { Fact } from './chain/facts.ts'
import type { VerseIndex } from './jobs/verses.ts'
import type { Worlds } from './jobs/worlds/worlds.ts'
import { errorFields, type Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { Providers } from './providers.ts'
import type { ChainStore } from './store/chain.ts'
import type { Discrepancies, Phantom } from './store/reconcile.ts'

/** What a comparison found, and put right. */
export type Reconciled = {
  /** Instances at a provider that are nobody's, destroyed. */
  orphans: number
  /** Partitions that ended and still had worlds, let go of. */
  released: number
  /** Open work without a job, taken up. */
  forgotten: number
  /** Facts of the chain that the books lacked, written down. */
  missing: number
  /** Reports and answers that the books had and the chain has not, made again. */
  phantoms: number
}

/** Compares chain, books and worlds, and puts right what differs. */
export type Reconciler = {
  /** One comparison at a time. The first one, before any work begins, looks at worlds alone: all open work is woken then. */
  run: (options?: { isFirst?: boolean }) => Promise<Reconciled>
}

/** Blocks of history that are looked at again each time, beside the newest ones. */
const HISTORY_SIZE = 2_000
/** The newest blocks that are looked at again. */
const RECENT_SIZE = 128

export function createReconciler(options: {
  providers: Pick<Providers, 'ids' | 'worlds'>
  verses: VerseIndex
  worlds: Pick<Worlds, 'list' | 'release' | 'isMerged'>
  chain: ChainStore
  books: Discrepancies
  startBlock: number
  /** The facts in a range of blocks, both ends included. */
  readFacts: (from: number, to: number) => Promise<Fact[]>
  /** Whether the chain has a transaction in a block. */
  isMined: (tx: Hex) => Promise<boolean>
  metrics: Pick<Metrics, 'reconciled'>
  log: Log
}): Reconciler {
  const { providers, verses, worlds, chain, books, startBlock, metrics, log } = options
  /** Instances that nobody knew the last time: one that is just being made is known the next time. */
  let suspects = new Set<string>()
  let running: Promise<Reconciled> | null = null
  /** The history before it was looked at. */
  let cursor = startBlock

  async function compare(isFirst: boolean): Promise<Reconciled> {
    const found = {
      orphans: await destroyOrphans(),
      released: await release(),
      ...(isFirst ? { missing: 0, phantoms: 0 } : await audit()),
      forgotten: isFirst ? 0 : await wakeForgotten(),
    }
    const isQuiet = Object.values(found).every((count) => count === 0)
    for (const [what, count] of Object.entries(found)) metrics.reconciled(what, count)
    if (isQuiet) log.debug(found, 'books.reconciled')
    else log.warn(found, 'books.reconciled')
    return found
  }

  async function destroyOrphans(): Promise<number> {
    const unknown = new Set<string>()
    let count = 0
    for (const id of providers.ids) {
      const provider = providers.worlds(id)
      for (const { id: instanceId } of await provider.list()) {
        if (verses.has(instanceId)) continue
        if (!suspects.has(instanceId)) {
          unknown.add(instanceId)
          continue
        }
        log.warn({ provider: id, instance: instanceId }, 'world.orphaned')
        await provider.destroy(instanceId)
        count++
      }
    }
    suspects = unknown
    return count
  }

  async function release(): Promise<number> {
    const keys = [...new Set(worlds.list().map(({ partition }) => partition))]
    const lifeless = await books.lifeless(keys)
    for (const { key, isKnown } of lifeless) {
      log.warn({ partition: key, isKnown }, 'partition.lifeless')
      if (!isKnown) await worlds.release(key)
    }
    const known = lifeless.filter(({ isKnown }) => isKnown).map(({ key }): Hex => key)
    if (known.length > 0) await books.wake(known)
    // Whoever merged them has told of their ends.
    const elsewhere = await books.resolvedAnywhere(keys.filter((key) => !worlds.isMerged(key)))
    for (const key of elsewhere) {
      log.info({ partition: key }, 'partition.left')
      await worlds.release(key)
    }
    return lifeless.length + elsewhere.length
  }

  /** Reads the newest settled blocks again, and a part of the history, in turn all of it. */
  async function audit(): Promise<Pick<Reconciled, 'missing' | 'phantoms'>> {
    const { deep } = chain.view()
    const found = { missing: 0, phantoms: 0 }
    if (deep < startBlock) return found
    const recent = Math.max(startBlock, deep - RECENT_SIZE + 1)
    await look(recent, deep, found)
    if (cursor < recent) {
      const to = Math.min(recent - 1, cursor + HISTORY_SIZE - 1)
      await look(cursor, to, found)
      cursor = to + 1
    } else cursor = startBlock
    return found
  }

  async function look(
    from: number,
    to: number,
    found: Pick<Reconciled, 'missing' | 'phantoms'>,
  ): Promise<void> {
    const facts = await options.readFacts(from, to)
    const missing = await books.missing(facts)
    for (const { kind, at } of missing) log.warn({ fact: kind, ...at }, 'fact.missed')
    if (missing.length > 0) await chain.apply({ kind: 'history', facts: missing })
    found.missing += missing.length
    found.phantoms += await disown(await books.phantoms(facts, from, to))
  }

  /** An endpoint may have left out logs: what a receipt stands for is there. */
  async function disown(suspected: readonly Phantom[]): Promise<number> {
    const phantoms: Phantom[] = []
    for (const each of suspected) if (!(await options.isMined(each.tx))) phantoms.push(each)
    for (const each of phantoms) log.warn(each, 'tx.phantom')
    if (phantoms.length > 0) await books.disown(phantoms)
    return phantoms.length
  }

  function wakeForgotten(): Promise<number> {
    const { head, deep, deepTime } = chain.view()
    return books.wakeForgotten({ head: head?.number ?? -1, deep, deepTime })
  }

  return {
    run({ isFirst = false } = {}) {
      running ??= compare(isFirst).finally(() => (running = null))
      return running
    },
  }
}

/** What was there before the start is looked at again so soon, seconds. */
const SECOND_LOOK_S = 30

/** Runs it every so many seconds until it is stopped. A comparison that fails is followed by the next. */
export function reconcileEvery(
  seconds: number,
  { run }: Reconciler,
  log: Log,
): { stop: () => Promise<void> } {
  let timer: NodeJS.Timeout
  let isStopped = false
  const schedule = (afterS: number) => {
    timer = setTimeout(() => {
      run()
        .catch((error: unknown) => log.warn(errorFields(error), 'reconcile.failed'))
        .finally(() => {
          if (!isStopped) schedule(seconds)
        })
    }, afterS * 1_000)
  }
  schedule(Math.min(seconds, SECOND_LOOK_S))
  return {
    async stop() {
      isStopped = true
      clearTimeout(timer)
    },
  }
}
