import type { Duplex } from 'node:stream'
import { MultiverseError } from '../../sdk/errors.ts'
import { jsonLines } from './lines.ts'

/** QEMU's machine protocol. */
export type Qmp = {
  /** Resolves when QEMU has set its machine up. */
  greeted: Promise<void>
  /** Rejects with PROVIDER_FAILED when QEMU refuses. */
  command: (name: string, parameters?: object) => Promise<unknown>
}

type Waiting = PromiseWithResolvers<unknown> & { name: string }

/** Speaks to QEMU over its monitor. Commands may be sent at once; QEMU answers them in order. */
export function connectQmp(stream: Duplex): Qmp {
  const lines = jsonLines(stream, 'QEMU')
  const waiting: Waiting[] = []
  const greeting = Promise.withResolvers<void>()
  greeting.promise.catch(() => undefined)
  lines.write(JSON.stringify({ execute: 'qmp_capabilities' }))

  const listen = async () => {
    await lines.next()
    greeting.resolve()
    // The answer to qmp_capabilities.
    await lines.next()
    for (;;) {
      const message = await lines.next()
      if ('event' in message) continue
      const first = waiting.shift()
      if ('return' in message) first?.resolve(message.return)
      else {
        const { desc } = message.error as { desc: string }
        const text = `QEMU refused ${first?.name}: ${desc}`
        first?.reject(new MultiverseError('PROVIDER_FAILED', text))
      }
    }
  }
  let end: unknown = null
  listen().catch((error: unknown) => {
    end = error
    greeting.reject(error)
    for (const { reject } of waiting.splice(0)) reject(error)
  })

  return {
    greeted: greeting.promise,
    command: (name, parameters = {}) => {
      if (end !== null) return Promise.reject(end)
      const pending = { name, ...Promise.withResolvers<unknown>() }
      waiting.push(pending)
      lines.write(JSON.stringify({ execute: name, arguments: parameters }))
      return pending.promise
    },
  }
}
