import { isMultiverseError, oneLine } from '../sdk/errors.ts'
import { onStop } from '../sdk/node/lifecycle.ts'
import { openKeeperAccount } from './account.ts'
import { loadConfig } from './config.ts'
import { KEEPER_EXIT_BY_CODE } from './exits.ts'
import { type Keeper, startKeeper } from './keeper.ts'
import { createLog } from './log.ts'

let keeper: Keeper | null = null
/** Longer than it takes to end what runs. */
let stopMs = 9_000

process.on('unhandledRejection', (error) => void die(error))
process.on('uncaughtException', (error) => void die(error))

try {
  const config = loadConfig(process.env)
  stopMs = config.stopMs
  const account = await openKeeperAccount(process.env)
  const starting = startKeeper({
    config,
    account,
    onFatal: (error) => void die(error),
    log: createLog(config.logLevel),
    env: process.env,
  })
  // Told to end while it starts, it ends when it has started.
  onStop(async () => (await starting).stop(), stopMs)
  keeper = await starting
  if (config.isOneShot) {
    await keeper.settled
    await keeper.stop()
    process.exit(0)
  }
} catch (error) {
  await die(error)
}

/** Says in one line why the process ends, and ends it with the code that goes with it. */
async function die(error: unknown): Promise<never> {
  const code = isMultiverseError(error) ? error.code : 'UNEXPECTED'
  process.stderr.write(`error ${code}: ${oneLine(error)}\n`)
  const exit = KEEPER_EXIT_BY_CODE[code] ?? 1
  // Never for longer than a stop may take, whatever state it is in.
  setTimeout(() => process.exit(exit), stopMs).unref()
  try {
    await keeper?.stop()
  } catch (cause) {
    process.stderr.write(`stop failed: ${oneLine(cause)}\n`)
  }
  process.exit(exit)
}
