import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import { createPool, type Pool } from '../../providers/quickjs/pool.ts'
import { failure } from './conformance.ts'

/** A worker that dies of `boot` and answers `restore` when its world is not `stuck`. */
const WORKER = `const { parentPort } = require('node:worker_threads')
  parentPort.on('message', ({ kind, world }) => {
    if (kind === 'boot') process.exit(3)
    if (kind === 'load') throw new Error('lost its mind')
    if (kind === 'restore' && world === 'stuck') for (;;);
    if (kind === 'restore') parentPort.postMessage({ ok: true, answer: null })
  })`
const image = {
  root: '0x',
  index: new Uint8Array(),
  places: new Uint32Array(),
  segments: [],
} as const

describe('pool', () => {
  let pool: Pool
  let spawned = 0
  const open = (size: number) => {
    spawned = 0
    pool = createPool(size, () => {
      spawned++
      return new Worker(WORKER, { eval: true })
    })
  }
  const restore = (world: string, options = {}) =>
    pool.perform({ kind: 'restore', world, image: { ...image, segments: [] } }, options)
  afterEach(() => pool.close(new Error('over')))

  it('fails only what a dying worker was doing, and replaces it', async () => {
    open(1)
    const dead = failure(pool.perform({ kind: 'boot' }))
    const thrown = failure(pool.perform({ kind: 'load', folder: '', root: '0x' }))
    const next = restore('a')
    expect(await dead).toMatchObject({
      code: 'PROVIDER_FAILED',
      message: 'a quickjs worker died: exit code 3',
      isRetryable: true,
    })
    expect(await thrown).toMatchObject({
      code: 'PROVIDER_FAILED',
      message: 'a quickjs worker died: lost its mind',
    })
    expect(await next).toEqual({ answer: null, seat: 0 })
    expect(spawned).toBe(3)
  })

  it('ends a worker that misses its deadline, while others work', async () => {
    open(2)
    const late = new Error('too late')
    const stuck = failure(restore('stuck', { deadline: { ms: 50, error: () => late } }))
    for (const world of 'abc') expect((await restore(world)).answer).toBeNull()
    expect(await stuck).toBe(late)
    expect(await restore('d', { seat: 0 })).toMatchObject({ seat: 0 })
    expect(spawned).toBe(3)
  })

  it('gives a task to its own worker when that is idle, else to another', async () => {
    open(3)
    for (const seat of [2, 0, 1, 2]) expect(await restore('a', { seat })).toMatchObject({ seat })
    const stuck = failure(restore('stuck', { seat: 1 }))
    expect((await restore('a', { seat: 1 })).seat).not.toBe(1)
    await pool.close(new Error('over'))
    expect(await stuck).toEqual(new Error('over'))
    expect(await failure(restore('a'))).toEqual(new Error('over'))
  })

  it('lets a waiting task go', async () => {
    open(1)
    const controller = new AbortController()
    const stuck = failure(
      restore('stuck', { deadline: { ms: 100, error: () => new Error('late') } }),
    )
    const waiting = failure(restore('a', { signal: controller.signal }))
    const last = restore('b')
    controller.abort('enough')
    expect(await waiting).toBe('enough')
    expect(await failure(restore('c', { signal: controller.signal }))).toBe('enough')
    expect(await stuck).toEqual(new Error('late'))
    expect(await last).toMatchObject({ seat: 0 })
  })
})
