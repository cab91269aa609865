import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Bounds, withinBounds } from '../../providers/gvisor/bounds.ts'
import { MultiverseError } from '../../sdk/errors.ts'

const bounds: Bounds = { timeMs: 30_000, maxBytes: 100 }
const { signal } = new AbortController()
const gone = () => Promise.reject(Object.assign(new Error('no such file'), { code: 'ENOENT' }))

test.concurrent('a world that ends says so itself, however long nothing of it can be looked at before', async () => {
  const ended = new MultiverseError('PROVIDER_FAILED', 'world w has ended', { isRetryable: true })
  const world = { usedBytes: gone, hasEnded: false }
  const running = withinBounds(world, bounds, signal, async () => {
    await sleep(300)
    throw ended
  })
  await expect(running).rejects.toBe(ended)
})

test.concurrent('one that goes on and cannot be looked at is not let go on unwatched', async () => {
  const world = { usedBytes: gone, hasEnded: false }
  const running = withinBounds(world, bounds, signal, () => new Promise(() => {}))
  await expect(running).rejects.toMatchObject({
    code: 'PROVIDER_FAILED',
    isRetryable: true,
    message: 'the memory of the world cannot be looked at: no such file',
  })
})

test.concurrent('a look that fails once is forgotten', async () => {
  let looks = 0
  const world = {
    usedBytes: () => (++looks % 2 === 1 ? gone() : Promise.resolve(1)),
    hasEnded: false,
  }
  const running = withinBounds(world, bounds, signal, () => sleep(2_500, 'done'))
  await expect(running).resolves.toBe('done')
})

test.concurrent('one that takes too much is stopped', async () => {
  const world = { usedBytes: () => Promise.resolve(101), hasEnded: false }
  const running = withinBounds(world, bounds, signal, () => new Promise(() => {}))
  await expect(running).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' })
})
