import { flushCompileCache } from 'node:module'
import { openKeeperAccount } from '../../../keeper/account.ts'
import { loadConfig } from '../../../keeper/config.ts'
import { startKeeper } from '../../../keeper/keeper.ts'
import { createLog } from '../../../keeper/log.ts'
import { type Backends, openBackends } from '../../../keeper/providers.ts'
import { oneLine } from '../../../sdk/errors.ts'
import { type Hold, watched } from './points.ts'

// A keeper that kills itself: not between two log lines that somebody reads later, but at the very place. HOLDS says where it
// stops, for which partition or question; when it has stopped at all of them it is gone. On SIGUSR2 it says what instances
// its providers have.

const holds = JSON.parse(process.env['HOLDS'] ?? '[]') as Hold[]
const reached = new Set<string>()

async function reach(point: string, about: string): Promise<void> {
  if (!holds.some((hold) => hold.point === point && hold.about === about)) return
  const place = `${point} ${about}`
  // It may be come to again by another way while it is stopped there.
  if (!reached.has(place)) log.info({ point, about }, 'test.reached')
  reached.add(place)
  if (reached.size === holds.length) process.kill(process.pid, 'SIGKILL')
  await new Promise(() => {})
}

const config = loadConfig(process.env)
const log = createLog(config.logLevel)
let backends: Backends | null = null

const keeper = await startKeeper({
  config,
  account: await openKeeperAccount(process.env),
  log,
  onFatal: (error) => {
    process.stderr.write(`error ${error.code}: ${oneLine(error)}\n`)
    process.exit(1)
  },
  open: async (options) => (backends = await openBackends(options)),
  through: (books) => watched(books, reach),
})
// It is to end without a chance to leave what it compiled to the next.
flushCompileCache()
process.once('SIGTERM', () => void keeper.stop().then(() => process.exit(0)))
process.on('SIGUSR2', () => void tell())

async function tell(): Promise<void> {
  const all = await Promise.all((backends?.worlds ?? []).map((provider) => provider.list()))
  log.info({ instances: all.flat().map(({ id }) => id) }, 'test.instances')
}
