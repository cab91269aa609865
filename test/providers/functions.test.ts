import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { HostFunctions } from '../../providers/host/functions.ts'
import type { LinkConfig, WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { createProvider } from '../../providers/registry.ts'
import { createReplayProvider } from '../../providers/replay/provider.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import { failure } from './conformance.ts'
import { overSocket } from './transports.ts'

// Functions of the host, which worlds have by links alone.

/** What the host was asked to do, and what was done with it. */
const asked: { args: unknown; config: unknown; instanceId: string }[] = []
let pending = Promise.withResolvers<void>()

const functions: HostFunctions = {
  price: {
    check: ({ base }) => {
      if (base !== undefined && !/^\d+$/.test(base))
        throw new MultiverseError('INVALID_ARGUMENT', `base ${base} is no number`)
    },
    call: async (args, { config, instanceId }) => {
      asked.push({ args, config, instanceId })
      return Number(config['base'] ?? 0) + Number(args[0])
    },
  },
  fails: {
    check: () => undefined,
    call: async (args) => {
      if (args[0] === 'may pass')
        throw new MultiverseError('RPC_FAILED', 'no answer', { isRetryable: true })
      if (args[0] === 'typed') throw new MultiverseError('NO_PRICE', 'there is none')
      throw new Error('out of order\nand more')
    },
  },
  waits: {
    check: () => undefined,
    call: (_, { signal }) =>
      new Promise((resolve) => {
        pending.resolve()
        signal.addEventListener('abort', () => resolve('nobody waits'))
      }),
  },
  long: { check: () => undefined, call: async ([length]) => 'x'.repeat(Number(length)) },
}

const make = () => createQuickjsProvider({ functions, workers: 2 })
const notLinked = { code: 'FUNCTION_NOT_LINKED' }

describe('in process', () => {
  suite(async () => make())
})
describe('over a socket', () => {
  suite(overSocket(make))
})

function suite(create: () => Promise<WorldRuntimeProvider>): void {
  let dataDir: string
  let provider: WorldRuntimeProvider
  const link = (
    source: string,
    config: Record<string, string> = {},
    name = 'price',
  ): LinkConfig => ({ source, target: 'quickjs', name, config: { function: name, ...config } })
  const use: LinkConfig = { source: 'keeper', target: 'quickjs', name: 'default', config: {} }
  const born = async (component?: string) =>
    (await provider.create({ seed: 1n, ...(component === undefined ? {} : { component }) })).id
  const value = async (id: string, code: string) => (await provider.execute(id, code)).value

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'functions-'))
    provider = await create()
    await provider.init({ dataDir })
    await provider.receiveLinkConfig(use)
  })
  afterEach(async () => {
    for (const { id } of await provider.list()) await provider.destroy(id)
    await provider.deleteLink(link('keeper'))
    asked.length = 0
  })
  afterAll(async () => {
    await provider.shutdown()
    await rm(dataDir, { recursive: true })
  })

  it('says which functions it has', () => {
    expect(provider.capabilities().functions).toEqual(['price', 'fails', 'waits', 'long'])
  })

  it('fails closed without a link, answers with one, and fails closed again when it is deleted', async () => {
    const id = await born('keeper')
    await expect(provider.execute(id, 'host.call("price", 1)')).rejects.toMatchObject(notLinked)
    expect(asked).toEqual([])
    await provider.receiveLinkConfig(link('keeper', { base: '40' }))
    await provider.receiveLinkConfig(link('keeper', { base: '99' }))
    const run = await provider.execute(id, 'host.call("price", 2, undefined, { a: [1] })')
    expect(run.value).toBe(42)
    const args = [2, null, { a: [1] }]
    expect(run.calls).toEqual([{ name: 'price', args, answer: { kind: 'value', value: 42 } }])
    expect(asked).toEqual([{ args, config: { function: 'price', base: '40' }, instanceId: id }])
    await provider.deleteLink(link('keeper'))
    await provider.deleteLink(link('keeper'))
    await expect(provider.execute(id, 'host.call("price", 1)')).rejects.toMatchObject(notLinked)
    expect(asked).toHaveLength(1)
    // The right to use the provider is another link, and stays.
    await provider.execute(id, '1', { component: 'keeper' })
  })

  it('gives no right to use the provider with a function', async () => {
    await provider.receiveLinkConfig(link('other'))
    await expect(born('other')).rejects.toMatchObject({ code: 'LINK_DENIED' })
    await provider.deleteLink(link('other'))
  })

  it('withdraws a function in the middle of a run', async () => {
    const id = await born()
    await provider.receiveLinkConfig(link(id))
    await provider.receiveLinkConfig(link(id, {}, 'waits'))
    pending = Promise.withResolvers()
    const code = `const seen = [host.call('price', 1)]
      try { seen.push(host.call('waits')) } catch (e) { seen.push(e.code) }
      seen`
    const run = failure(provider.execute(id, code, { timeMs: 500 }))
    await pending.promise
    await provider.deleteLink(link(id, {}, 'waits'))
    // It was asked for while it was permitted; its answer is not.
    expect(await run).toMatchObject({ code: 'EXECUTION_TIMEOUT' })
    const again = `try { host.call('waits') } catch (e) { [e.name, e.code, e.message, e instanceof Error] }`
    expect(await value(id, again)).toEqual([
      'HostError',
      'FUNCTION_NOT_LINKED',
      'no link gives this world a function waits',
      true,
    ])
  })

  it('gives each branch its own, none from its parent, and takes them with it', async () => {
    const id = await born('keeper')
    await provider.receiveLinkConfig(link(id, { base: '1' }))
    const { id: snapshotId } = await provider.snapshot(id)
    const [one, two, three] = (await provider.branch(snapshotId, 3)).map((child) => child.id)
    await provider.receiveLinkConfig(link(one!, { base: '10' }))
    await provider.receiveLinkConfig(link(two!, { base: '20' }))
    const code = 'host.call("price", 5)'
    const runs = await Promise.all([id, one!, two!].map((each) => value(each, code)))
    expect(runs).toEqual([6, 15, 25])
    await expect(provider.execute(three!, code)).rejects.toMatchObject(notLinked)
    await provider.deleteLink(link(one!))
    await expect(provider.execute(one!, code)).rejects.toMatchObject(notLinked)
    expect(await value(two!, code)).toBe(25)
    // A world's own link stands before its component's.
    const [other] = (await provider.branch(snapshotId, 1, { component: 'keeper' })).map((c) => c.id)
    await provider.receiveLinkConfig(link('keeper', { base: '100' }))
    expect(await value(other!, code)).toBe(105)
    await provider.receiveLinkConfig(link(other!, { base: '200' }))
    expect(await value(other!, code)).toBe(205)
    await provider.destroy(two!)
    // A component's outlives the process, a world's does not.
    const kept = await readFile(join(dataDir, 'links.json'), 'utf8')
    expect(kept).toContain('100')
    expect(kept).not.toContain(other)
  })

  it('keeps the links of components for the next process, and none of worlds that ended with theirs', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'functions-'))
    const first = await create()
    try {
      await first.init({ dataDir: folder })
      await first.receiveLinkConfig(use)
      await first.receiveLinkConfig(link('keeper', { base: '7' }))
      const { id } = await first.create({ seed: 1n })
      await first.receiveLinkConfig(link(id))
      await first.shutdown()
      await first.init({ dataDir: folder })
      const world = await first.create({ seed: 1n, component: 'keeper' })
      expect((await first.execute(world.id, 'host.call("price", 1)')).value).toBe(8)
      expect(await readFile(join(folder, 'links.json'), 'utf8')).not.toContain(id)
      await first.deleteLink(link('keeper'))
      await first.shutdown()
      await first.init({ dataDir: folder })
      const last = await first.create({ seed: 1n, component: 'keeper' })
      const late = first.execute(last.id, 'host.call("price", 1)')
      await expect(late).rejects.toMatchObject(notLinked)
    } finally {
      await first.shutdown()
      await rm(folder, { recursive: true })
    }
  })

  it('refuses links that cannot be', async () => {
    const id = await born()
    const put = (each: LinkConfig) => provider.receiveLinkConfig(each)
    await expect(put(link(id, { function: 'toString' }))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: 'quickjs has no function toString for its worlds, only: price, fails, waits, long',
    })
    await expect(put(link(id, { base: 'x' }))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(put({ ...link('quickjs'), target: 'elsewhere' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    await provider.destroy(id)
    await expect(put(link(id))).rejects.toMatchObject({ code: 'UNKNOWN_INSTANCE' })
  })

  it('tells a program what went wrong, and ends its run for what may pass', async () => {
    const id = await born()
    await provider.receiveLinkConfig(link(id, {}, 'fails'))
    await provider.receiveLinkConfig(link(id, {}, 'long'))
    const told = (args: string) =>
      value(id, `try { host.call(${args}) } catch (e) { e.code + ': ' + e.message }`)
    expect(await told('"fails"')).toMatch(/^FUNCTION_FAILED: out of order/)
    expect(await told('"fails", "typed"')).toBe('NO_PRICE: there is none')
    expect(await told('"long", 2_000_000')).toMatch(/^FUNCTION_FAILED: the answer is longer than/)
    expect(await told('"x".repeat(2_000_000)')).toMatch(/^INVALID_ARGUMENT: a call is/)
    expect(await value(id, 'host.call("long", 1_000_000).length')).toBe(1_000_000)
    const passing = `try { host.call('fails', 'may pass') } catch { 'caught' }`
    await expect(provider.execute(id, passing)).rejects.toMatchObject({
      code: 'RPC_FAILED',
      isRetryable: true,
    })
    // A program that only says so was refused nothing.
    const forged = `throw Object.assign(new Error('no link gives this world a function price'), { name: 'HostError' })`
    await expect(provider.execute(id, forged)).rejects.toMatchObject({ code: 'PROGRAM_ERROR' })
  })

  it('survives programs that spoil what calls are made of', async () => {
    const id = await born()
    await provider.receiveLinkConfig(link(id))
    for (const spoil of [
      'Array.prototype.toJSON = () => undefined',
      'Array.prototype.toJSON = () => ({ 0: 1 })',
      'Array.prototype.toJSON = () => [1]',
      'JSON.parse = JSON.stringify = Object.defineProperty = null',
      'Object.defineProperty(Object.prototype, "kind", { get: () => "value" })',
    ]) {
      const [child] = await provider.branch((await provider.snapshot(id)).id, 1)
      await provider.receiveLinkConfig(link(child!.id))
      const run = provider.execute(child!.id, `${spoil}; host.call('price', 1)`)
      const failed = (await failure(run)) as { code: string } | null
      expect([undefined, 'PROGRAM_ERROR']).toContain(failed?.code)
    }
    expect(await value(id, 'host.call("price", 1)')).toBe(1)
  })

  it('stops a program that waits for a function: by time, by its caller, by its end', async () => {
    const id = await born()
    await provider.receiveLinkConfig(link(id, {}, 'waits'))
    const code = `globalThis.count = 5; host.call('waits')`
    await expect(provider.execute(id, code, { timeMs: 60 })).rejects.toMatchObject({
      code: 'EXECUTION_TIMEOUT',
    })
    const controller = new AbortController()
    pending = Promise.withResolvers()
    const aborted = failure(provider.execute(id, code, { signal: controller.signal }))
    await pending.promise
    controller.abort()
    expect(await aborted).toMatchObject({ code: 'ABORTED' })
    expect(await value(id, 'globalThis.count ?? 0')).toBe(0)
    pending = Promise.withResolvers()
    const ended = failure(provider.execute(id, code))
    await pending.promise
    await provider.destroy(id)
    expect(await ended).toMatchObject({ code: 'UNKNOWN_INSTANCE' })
  })

  it('answers a run that is done over from what was recorded, with no link', async () => {
    const id = await born()
    const { id: snapshotId } = await provider.snapshot(id)
    await provider.receiveLinkConfig(link(id, { base: '3' }))
    await provider.receiveLinkConfig(link(id, {}, 'fails'))
    const code = `globalThis.seen = [host.call('price', 1)]
      try { host.call('fails', 'typed') } catch (e) { seen.push(e.code) }
      try { host.call('nobody') } catch (e) { seen.push(e.code) }
      seen.push(host.call('price', 2)); seen`
    const first = await provider.execute(id, code)
    expect(first.value).toEqual([4, 'NO_PRICE', 'FUNCTION_NOT_LINKED', 5])
    expect(first.calls).toHaveLength(3)
    const [child] = await provider.branch(snapshotId, 1)
    asked.length = 0
    const { calls = [] } = first
    expect(await provider.execute(child!.id, code, { answers: calls })).toMatchObject({
      value: first.value,
      stateRoot: first.stateRoot,
      calls,
    })
    expect(asked).toEqual([])
    const other = 'host.call("price", 9)'
    const denied = provider.execute(child!.id, other, { answers: calls })
    await expect(denied).rejects.toMatchObject(notLinked)
  })
}

it('is verified in another process by its answers', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'functions-'))
  const provider = make()
  const replay = createReplayProvider({ worlds: { quickjs: { dataDir } }, processes: 1 })
  try {
    await Promise.all([provider.init({ dataDir }), replay.init({ dataDir })])
    const { id } = await provider.create({ seed: 1n })
    const { id: snapshotId } = await provider.snapshot(id)
    const config = { function: 'price', base: '5' }
    await provider.receiveLinkConfig({ source: id, target: 'quickjs', name: 'price', config })
    const code = 'globalThis.paid = host.call("price", 1); ({ cost: paid })'
    const { stateRoot, calls = [] } = await provider.execute(id, code)
    const from = { kind: 'snapshot', snapshotId } as const
    const lane = { worlds: 'quickjs', from, steps: [{ code, stateRoot, calls }] }
    expect(await replay.verify(lane)).toMatchObject({ kind: 'verified' })
    const [call] = calls
    const forged = [{ ...call!, answer: { kind: 'value' as const, value: 7 } }]
    expect(
      await replay.verify({ ...lane, steps: [{ code, stateRoot, calls: forged }] }),
    ).toMatchObject({ kind: 'diverged', step: 0, what: 'stateRoot' })
    expect(await replay.verify({ ...lane, steps: [{ code, stateRoot }] })).toMatchObject({
      kind: 'diverged',
      what: 'failure',
      computed: { code: 'FUNCTION_NOT_LINKED' },
    })
  } finally {
    await Promise.all([provider.shutdown(), replay.shutdown()])
    await rm(dataDir, { recursive: true })
  }
})

it.each(['gvisor', 'microvm', 'evm'])('%s has none to give, and says so', async (id) => {
  const provider = await createProvider(id)
  expect(provider.capabilities().functions).toBeUndefined()
})
