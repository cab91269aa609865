import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * A port for a server that takes it seconds later, and again after it was down: below those that systems hand out by
 * themselves, of which any connection from this machine could get one meanwhile.
 */
export async function lastingPort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_000)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
