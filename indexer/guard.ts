// Loaded into ponder's process before ponder itself: when the launcher is gone, however it went, its end of the pipe
// closes and ponder stops as if told to.

const GRACE_MS = 8_000

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
