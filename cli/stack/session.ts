import { dataPaths } from '../../sdk/node/data.ts'
import { clearFolder, openFolder } from './folder.ts'
import type { Ports, Service } from './ports.ts'
import {
  describeProcess,
  readStack,
  reap,
  removeStack,
  type StackRecord,
  writeStack,
} from './record.ts'
import { createSupervisor, type Supervisor } from './supervisor.ts'

/** A data folder that is held, with a supervisor and a record of what it runs. */
export type Session = {
  record: StackRecord
  supervisor: Supervisor
  /** Aborted when the user wants to end, or it is being stopped. */
  signal: AbortSignal
  /** Ends every process and gives the data folder free. Idempotent. */
  stop: () => Promise<void>
}

export type SessionOptions = {
  dataDir: string
  ports: () => Promise<Ports>
  /** Removes what a stack keeps in the folder. */
  fresh: boolean
  /** One line for people about what is happening. */
  say: (line: string) => void
  /** Aborted when it is no longer wanted, also while it is being started. */
  signal: AbortSignal
}

/** What the record says of a chain and a keeper; what it says of processes follows from the ports. */
export type SessionSubject = {
  chainId: number
  /** Null when no keeper runs. */
  keeper: StackRecord['keeper']
  /** Null when the chain is one of the processes. */
  rpcUrl: string | null
}

/** Everything is up in seconds, but on a machine with other things to do; what dies meanwhile is noticed at once. */
export const READY_MS = 180_000

/**
 * Takes a data folder, ends what an earlier run left in it, and lets `begin` start processes. When that fails everything is
 * stopped again.
 * @throws PORT_TAKEN, LOCKED, NOT_A_DATA_FOLDER, DATA_TOO_NEW, and what `begin` throws
 */
export async function openSession<T>(
  options: SessionOptions,
  subject: SessionSubject,
  begin: (session: Session) => Promise<T>,
): Promise<T> {
  const { dataDir, say } = options
  const ending = new AbortController()
  const signal = AbortSignal.any([options.signal, ending.signal])
  const lock = await openFolder(dataDir)
  let supervisor: Supervisor | undefined
  const stop = async () => {
    ending.abort()
    try {
      await supervisor?.stop(['keeper', 'analytics', 'indexer'])
      // Last, as the others may have something to finish on it.
      await supervisor?.stop(['chain'])
      await removeStack(dataDir)
    } finally {
      await lock.release()
    }
  }
  try {
    // Before anything is removed: what an earlier run left must not go on in files that are gone.
    for (const { name, pid } of await reap((await readStack(dataDir))?.processes ?? []))
      say(`ended ${name} (process ${pid}), left by an earlier run`)
    if (options.fresh) await clearFolder(dataDir)
    const record = await beginRecord(await options.ports(), subject)
    await writeStack(dataDir, record)
    supervisor = createSupervisor({
      logsDir: dataPaths(dataDir).logs,
      signal,
      onChange: inOrder((processes) => {
        record.processes = processes
        return writeStack(dataDir, record)
      }),
      say,
    })
    return await begin({ record, supervisor, signal, stop })
  } catch (error) {
    await stop()
    throw error
  }
}

/** Whether a service of ours has current data. */
export async function isReady(url: string): Promise<boolean> {
  try {
    const { ok } = await fetch(`${url}/ready`)
    return ok
  } catch {
    return false
  }
}

async function beginRecord(ports: Ports, subject: SessionSubject): Promise<StackRecord> {
  const at = (service: Service) => `http://127.0.0.1:${ports[service]}`
  return {
    version: 1,
    supervisor: await describeProcess('supervisor', process.pid),
    chainId: subject.chainId,
    keeper: subject.keeper,
    urls: {
      rpc: subject.rpcUrl ?? at('chain'),
      graphql: `${at('indexer')}/graphql`,
      analytics: at('analytics'),
      keeper: at('keeper'),
    },
    processes: [],
  }
}

/** Runs calls of `work` one after another. */
function inOrder<T>(work: (value: T) => Promise<void>): (value: T) => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return (value) => {
    const result = last.then(() => work(value))
    last = result.catch(() => {})
    return result
  }
}
