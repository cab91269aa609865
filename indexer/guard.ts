import { oneLine } from '../sdk/errors.ts'
import { acquireLock } from '../sdk/node/lock.ts'
import { loadInstalledOnce } from './modules.ts'
import { required } from './service.ts'
import { nameShadows } from './shadows.ts'

// Loaded into ponder's process before ponder itself. It holds the lock of ponder's folder, so that the lock lives exactly
// as long as the process that has the folder open; and when the launcher is gone, however it went, its end of the pipe
// closes and ponder stops as if told to. And it keeps ponder's tables in sight (shadows.ts).

const GRACE_MS = 8_000

try {
  // Never released: it falls when this process ends, and not before.
  await acquireLock(required('PONDER_LOCK'))
} catch (error) {
  process.stderr.write(`${oneLine(error)}\n`)
  process.exit(1)
}

if (!process.env['INDEXER_DATABASE_URL']) await nameShadows()
await loadInstalledOnce()

let isEnding = false
const end = () => {
  if (isEnding) return
  isEnding = true
  setTimeout(() => process.exit(1), GRACE_MS).unref()
  process.kill(process.pid, 'SIGTERM')
}

process.stdin.resume()
process.stdin.once('end', end)
process.stdin.once('close', end)
process.stdin.once('error', end)
