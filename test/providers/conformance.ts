import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Limits, WorldRuntimeProvider } from '../../providers/provider.ts'

/** Programs in the language of a provider's worlds. Each leaves a world of its own as it found it unless it says more. */
export type Dialect = {
  /** Adds to the world's counter, which starts at 0, and gives the sum. */
  add: (by: number) => string
  /** Gives a number from the world's random source. */
  random: string
  /** Gives the world's time in milliseconds. */
  time: string
  /** Writes `out` and `err` and gives null. */
  print: string
  /** Adds 1,000 to the counter, then fails with a message that has `broken` in it. */
  fail: string
  /** Writes `out` at once, and never ends. */
  printsAndStays: string
  neverEnds: string
  eatsMemory: string
  recurses: string
  neverAnswers: string
  /** Each gives something that JSON cannot say. */
  notJson: string[]
  /** Gives several MiB. */
  answersTooMuch: string
  /** Writes several MiB and gives null. */
  printsTooMuch: string
}

export type ConformanceOptions = {
  /** A new provider, not initialised. */
  create: () => Promise<WorldRuntimeProvider>
  dialect: Dialect
  /** Branches that are made at a time; 64 unless said. */
  crowd?: number
}

/** What a call that must fail rejects with; null when it does not. Handled from the start, so it may fail at any time. */
export function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => null,
    (error: unknown) => error,
  )
}

function ids(instances: { id: string }[]): string[] {
  return instances.map((instance) => instance.id)
}

/** What every provider of worlds does; run it in a describe of the provider's own. */
export function conformance(options: ConformanceOptions): void {
  const { create, dialect, crowd = 64 } = options
  let dataDir: string
  let provider: WorldRuntimeProvider
  /** Worlds that several tests share. */
  const kept = new Set<string>()
  const { add } = dialect
  const link = (source: string, name = 'default') => ({
    source,
    target: provider.id,
    name,
    config: {},
  })
  const value = async (id: string, code: string) => (await provider.execute(id, code)).value
  const born = async (seed = 1n) => (await provider.create({ seed })).id
  /** Worlds for the tests of a describe, which leave them as they found them. */
  const share = (count: number) => {
    const shared: string[] = []
    beforeAll(async () => {
      for (let i = 0; i < count; i++) shared.push(await born())
      for (const id of shared) kept.add(id)
    })
    afterAll(async () => {
      for (const id of shared.splice(0)) {
        kept.delete(id)
        await provider.destroy(id)
      }
    })
    return shared
  }

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'worlds-'))
    provider = await create()
    await provider.init({ dataDir })
  })
  afterEach(async () => {
    const rest = (await provider.list()).filter(({ id }) => !kept.has(id))
    await Promise.all(rest.map(({ id }) => provider.destroy(id)))
  })
  afterAll(async () => {
    await provider.shutdown()
    await rm(dataDir, { recursive: true })
  })

  describe('lifecycle', () => {
    it('refuses work before init and after shutdown, and shuts down twice', async () => {
      const other = await create()
      const link = { source: 'a', target: other.id, name: 'default', config: {} }
      const refused = async () => {
        for (const work of [
          () => other.create({ seed: 1n }),
          () => other.snapshot('x'),
          () => other.forget('x'),
          () => other.branch('x', 1),
          () => other.execute('x', add(1)),
          () => other.merge(['x'], { winner: 'x' }),
          () => other.destroy('x'),
          () => other.list(),
          () => other.receiveLinkConfig(link),
          () => other.deleteLink(link),
        ])
          await expect(work()).rejects.toMatchObject({ code: 'NOT_INITIALIZED' })
      }
      await other.shutdown()
      await refused()
      await other.init({ dataDir })
      const world = await other.create({ seed: 1n })
      const running = failure(other.execute(world.id, dialect.neverEnds))
      await other.shutdown()
      expect(await running).toMatchObject({ code: 'NOT_INITIALIZED' })
      await other.shutdown()
      await refused()
      await other.init({ dataDir })
      expect(await other.list()).toEqual([])
      await other.shutdown()
    })

    it('lists what lives', async () => {
      const first = await provider.create({ seed: 1n })
      const second = await provider.create({ seed: 1n })
      expect(first.id).not.toBe(second.id)
      expect(first).toMatchObject({ providerId: provider.id, snapshotId: null })
      expect(first.bootMs).toBeGreaterThan(0)
      expect(await provider.list()).toEqual([first, second])
      await provider.destroy(first.id)
      expect(await provider.list()).toEqual([second])
    })

    it('destroys once and for all, and twice', async () => {
      const id = await born()
      await provider.destroy(id)
      await provider.destroy(id)
      await provider.destroy('never was')
      for (const work of [() => provider.execute(id, add(1)), () => provider.snapshot(id)])
        await expect(work()).rejects.toMatchObject({ code: 'UNKNOWN_INSTANCE' })
    })

    it('makes no world of what it cannot do', async () => {
      const origin = { url: 'http://127.0.0.1:1', blockNumber: 1, blockHash: '0x00' as const }
      // Who can start from a chain says that this is no block of one.
      const code = provider.capabilities().origin === true ? 'INVALID_ARGUMENT' : 'UNSUPPORTED'
      await expect(provider.create({ seed: 1n, origin })).rejects.toMatchObject({ code })
      for (const seed of [-1n, 2n ** 64n])
        await expect(provider.create({ seed })).rejects.toThrow(/seed|unsigned|u64/i)
      expect(await provider.list()).toEqual([])
    })

    it('ends a run whose world is destroyed', async () => {
      const id = await born()
      const run = failure(provider.execute(id, dialect.neverEnds))
      await provider.destroy(id)
      expect(await run).toMatchObject({ code: 'UNKNOWN_INSTANCE' })
    })
  })

  describe('links', () => {
    it('lets a component in by its link only', async () => {
      const denied = { code: 'LINK_DENIED' }
      const id = await born()
      const { id: snapshotId } = await provider.snapshot(id)
      const attempts = [
        () => provider.create({ seed: 1n, component: 'keeper' }),
        () => provider.branch(snapshotId, 1, { component: 'keeper' }),
        () => provider.execute(id, add(1), { component: 'keeper' }),
      ]
      for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject(denied)
      await provider.receiveLinkConfig(link('another'))
      for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject(denied)
      await provider.receiveLinkConfig(link('keeper'))
      await provider.receiveLinkConfig(link('keeper'))
      for (const attempt of attempts) await attempt()
      await provider.deleteLink(link('keeper'))
      await provider.deleteLink(link('keeper'))
      for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject(denied)
      expect(await value(id, add(0))).toBe(1)
      await provider.deleteLink(link('another'))
    })

    it('withdraws rights at once, from a run under way too', async () => {
      const id = await born()
      await provider.receiveLinkConfig(link('keeper'))
      await provider.receiveLinkConfig(link('keeper', 'second'))
      await provider.deleteLink(link('keeper'))
      expect((await provider.execute(id, add(1), { component: 'keeper' })).value).toBe(1)
      const run = failure(provider.execute(id, dialect.neverEnds, { component: 'keeper' }))
      await provider.deleteLink(link('keeper', 'second'))
      expect(await run).toMatchObject({ code: 'LINK_DENIED' })
      expect(await value(id, add(1))).toBe(2)
    })

    it('keeps links for the next process, and forgets what was deleted', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'worlds-'))
      const other = await create()
      const request = { seed: 1n, component: 'keeper' }
      try {
        await other.init({ dataDir: folder })
        await other.receiveLinkConfig(link('keeper'))
        await other.shutdown()
        await other.init({ dataDir: folder })
        expect(await other.create(request)).toMatchObject({ snapshotId: null })
        await other.deleteLink(link('keeper'))
        await other.shutdown()
        await other.init({ dataDir: folder })
        await expect(other.create(request)).rejects.toMatchObject({ code: 'LINK_DENIED' })
      } finally {
        await other.shutdown()
        await rm(folder, { recursive: true })
      }
    })

    it("refuses another provider's link", async () => {
      const foreign = { source: 'keeper', target: 'elsewhere', name: 'default', config: {} }
      await expect(provider.receiveLinkConfig(foreign)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      })
    })
  })

  describe('snapshot and branch', () => {
    it('names equal states equally and others otherwise', async () => {
      const [one, same, other] = [await born(7n), await born(7n), await born(8n)]
      const first = await provider.snapshot(one)
      expect((await provider.snapshot(one)).id).toBe(first.id)
      expect((await provider.snapshot(same)).id).toBe(first.id)
      expect((await provider.snapshot(other)).id).not.toBe(first.id)
      expect(first.bytes).toBeGreaterThan(0)
      const { stateRoot } = await provider.execute(one, add(1))
      expect(stateRoot).not.toBe(first.stateRoot)
      expect((await provider.snapshot(one)).stateRoot).toBe(stateRoot)
    })

    it.each([0, 1, 3, crowd])('branches into %i', async (count) => {
      const id = await born()
      await provider.execute(id, add(5))
      const { id: snapshotId } = await provider.snapshot(id)
      const children = await provider.branch(snapshotId, count)
      expect(new Set(ids(children)).size).toBe(count)
      for (const child of children)
        expect(child).toMatchObject({ providerId: provider.id, snapshotId })
      const runs = await Promise.all(ids(children).map((child, i) => value(child, add(i))))
      expect(runs).toEqual(children.map((_, i) => 5 + i))
    })

    it('keeps parent and siblings apart', async () => {
      const id = await born()
      const { stateRoot } = await provider.execute(id, add(1))
      const snapshot = await provider.snapshot(id)
      const [left, right] = ids(await provider.branch(snapshot.id, 2))
      if (left === undefined || right === undefined) throw new Error('two children were asked for')
      expect(await value(left, add(10))).toBe(11)
      expect((await provider.snapshot(right)).stateRoot).toBe(stateRoot)
      expect(await value(right, add(20))).toBe(21)
      expect((await provider.snapshot(id)).stateRoot).toBe(stateRoot)
      expect(await value(id, add(0))).toBe(1)
      expect(await value(left, add(0))).toBe(11)
    })

    it('branches a branch, and a snapshot whose world is gone', async () => {
      const id = await born()
      let snapshotId = (await provider.snapshot(id)).id
      await provider.destroy(id)
      for (const depth of [1, 2, 3, 4]) {
        const [child] = ids(await provider.branch(snapshotId, 1))
        if (child === undefined) throw new Error('a child was asked for')
        expect(await value(child, add(1))).toBe(depth)
        snapshotId = (await provider.snapshot(child)).id
        await provider.destroy(child)
      }
    })

    it('runs branches of one snapshot alike', async () => {
      if (!provider.capabilities().deterministic) return
      const { id: snapshotId } = await provider.snapshot(await born(42n))
      const children = ids(await provider.branch(snapshotId, 3))
      const runs = await Promise.all(
        children.map(async (child) => {
          const first = await provider.execute(child, dialect.random)
          const second = await provider.execute(child, dialect.time)
          return [first.value, first.stateRoot, second.value, second.stateRoot]
        }),
      )
      expect(runs[1]).toEqual(runs[0])
      expect(runs[2]).toEqual(runs[0])
    })

    it('moves the clock from run to run, and draws from the seed', async () => {
      const [one, other] = [await born(1n), await born(2n)]
      const times = [await value(one, dialect.time), await value(one, dialect.time)]
      expect(times[1]).toBeGreaterThan(times[0] as number)
      const draws = [await value(one, dialect.random), await value(one, dialect.random)]
      expect(draws[0]).not.toBe(draws[1])
      await provider.execute(other, dialect.time)
      await provider.execute(other, dialect.time)
      expect(await value(other, dialect.random)).not.toBe(draws[0])
    })

    it('takes calls on one world in their order', async () => {
      const id = await born()
      const runs = await Promise.all([1, 2, 3, 4].map((by) => value(id, add(by))))
      expect(runs).toEqual([1, 3, 6, 10])
    })

    it('knows no other snapshot, and lets one go', async () => {
      const unknown = { code: 'UNKNOWN_SNAPSHOT' }
      for (const id of ['', '../../etc/passwd', `0x${'ab'.repeat(32)}`]) {
        await expect(provider.branch(id, 1)).rejects.toMatchObject(unknown)
        await provider.forget(id)
      }
      const id = await born()
      await provider.execute(id, add(3))
      const { id: snapshotId } = await provider.snapshot(id)
      const [child] = ids(await provider.branch(snapshotId, 1))
      await provider.forget(snapshotId)
      await provider.forget(snapshotId)
      await expect(provider.branch(snapshotId, 1)).rejects.toMatchObject(unknown)
      expect(await value(child ?? '', add(1))).toBe(4)
      expect((await provider.snapshot(id)).id).toBe(snapshotId)
      expect(await provider.branch(snapshotId, 1)).toHaveLength(1)
    })

    it('refuses a number of branches that is none', async () => {
      const { id } = await provider.snapshot(await born())
      for (const count of [-1, 1.5, Number.NaN, 1e9])
        await expect(provider.branch(id, count)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect(await provider.list()).toHaveLength(1)
    })
  })

  describe('merge', () => {
    it('lets the winner go on and ends the others', async () => {
      const id = await born()
      const { id: snapshotId } = await provider.snapshot(id)
      const children = await provider.branch(snapshotId, 3)
      const [nash, optimal, chaos] = ids(children)
      if (nash === undefined || optimal === undefined || chaos === undefined)
        throw new Error('three children were asked for')
      await provider.execute(optimal, add(9))
      const losing = failure(provider.execute(chaos, dialect.neverEnds))
      expect(await provider.merge(ids(children), { winner: optimal })).toEqual(children[1])
      expect(await losing).toMatchObject({ code: 'UNKNOWN_INSTANCE' })
      expect(ids(await provider.list())).toEqual([id, optimal])
      expect(await value(optimal, add(1))).toBe(10)
      expect(await provider.merge(ids(children), { winner: optimal })).toEqual(children[1])
    })

    it('ends nothing for a winner it does not know', async () => {
      const [one, two, gone] = [await born(), await born(), await born()]
      await provider.destroy(gone)
      for (const winner of ['nobody', gone])
        await expect(provider.merge([one, two, gone], { winner })).rejects.toMatchObject({
          code: 'UNKNOWN_INSTANCE',
        })
      await expect(provider.merge([one], { winner: two })).rejects.toMatchObject({
        code: 'UNKNOWN_INSTANCE',
      })
      expect(ids(await provider.list())).toEqual([one, two])
    })
  })

  describe('keys', () => {
    it('give the same instances as long as they live', async () => {
      const world = await provider.create({ seed: 1n, key: 'world' })
      expect(await provider.create({ seed: 1n, key: 'world' })).toEqual(world)
      const { id: snapshotId } = await provider.snapshot(world.id)
      const branch = () => provider.branch(snapshotId, 3, { key: 'children' })
      const [children, again] = await Promise.all([branch(), branch()])
      expect(again).toEqual(children)
      expect(await branch()).toEqual(children)
      expect(await provider.list()).toHaveLength(4)
      await provider.merge(ids(children), { winner: children[0]?.id ?? '' })
      expect(ids(await branch())).not.toContain(children[1]?.id)
    })

    it('stand for one call', async () => {
      await provider.create({ seed: 1n, key: 'one' })
      const invalid = { code: 'INVALID_ARGUMENT' }
      await expect(provider.create({ seed: 2n, key: 'one' })).rejects.toMatchObject(invalid)
    })

    it('give the same snapshot, also of a world that has gone on, until it is let go', async () => {
      const [id, other] = [await born(), await born()]
      await provider.execute(id, add(1))
      const snapshot = () => provider.snapshot(id, { key: 'state' })
      const [first, second] = await Promise.all([snapshot(), snapshot()])
      expect(second).toEqual(first)
      await provider.execute(id, add(1))
      expect(await snapshot()).toEqual(first)
      await expect(provider.snapshot(other, { key: 'state' })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      })
      await provider.forget(first.id)
      expect((await snapshot()).id).not.toBe(first.id)
    })

    it('are free again after a failure', async () => {
      const lost = `0x${'cd'.repeat(32)}`
      const branch = () => provider.branch(lost, 1, { key: 'lost' })
      await expect(branch()).rejects.toMatchObject({ code: 'UNKNOWN_SNAPSHOT' })
      await expect(branch()).rejects.toMatchObject({ code: 'UNKNOWN_SNAPSHOT' })
    })
  })

  describe('a run that fails because it', () => {
    const shared = share(2)

    it.each<[what: string, program: string, code: string, limits: Partial<Limits>]>([
      ['never ends', dialect.neverEnds, 'EXECUTION_TIMEOUT', { timeMs: 100 }],
      ['eats memory', dialect.eatsMemory, 'OUT_OF_MEMORY', { memoryBytes: 8_388_608 }],
      ['throws', dialect.fail, 'PROGRAM_ERROR', {}],
      ['recurses without end', dialect.recurses, 'PROGRAM_ERROR', {}],
      ['never answers', dialect.neverAnswers, 'RESULT_INVALID', {}],
      ['answers too much', dialect.answersTooMuch, 'RESULT_INVALID', {}],
      ...dialect.notJson.map((program): [string, string, string, object] => [
        program,
        program,
        'RESULT_INVALID',
        {},
      ]),
    ])('%s leaves its world and others as they were', async (_, program, code, limits) => {
      const [id = '', twin = ''] = shared
      await expect(provider.execute(id, program, limits)).rejects.toMatchObject({ code })
      // It goes on as one that has done nothing else.
      const runs = await Promise.all([id, twin].map((each) => provider.execute(each, add(1))))
      expect(runs[0]!.value).toBe(runs[1]!.value)
      expect(runs[0]!.stateRoot).toBe(runs[1]!.stateRoot)
    })

    it('fails, is in no snapshot', async () => {
      const [id = '', twin = ''] = shared
      const { stateRoot } = await provider.execute(id, add(1))
      await expect(provider.execute(id, dialect.fail)).rejects.toMatchObject({
        code: 'PROGRAM_ERROR',
      })
      await provider.execute(twin, add(1))
      const [one, other] = [await provider.snapshot(id), await provider.snapshot(twin)]
      expect([one.stateRoot, other.stateRoot]).toEqual([stateRoot, stateRoot])
    })
  })

  describe('a run that fails', () => {
    it('says what went wrong in one line', async () => {
      const error = await failure(provider.execute(await born(), dialect.fail))
      expect(String(error)).toMatch(/^.*broken.*$/)
    })

    it('is aborted by its caller, running or waiting', async () => {
      const id = await born()
      await provider.execute(id, add(1))
      const [first, second] = [new AbortController(), new AbortController()]
      const aborted = { code: 'ABORTED', isRetryable: true }
      const running = failure(provider.execute(id, dialect.neverEnds, { signal: first.signal }))
      const waiting = failure(provider.execute(id, add(1), { signal: second.signal }))
      const after = value(id, add(1))
      second.abort()
      expect(await waiting).toMatchObject(aborted)
      first.abort()
      expect(await running).toMatchObject(aborted)
      expect(await after).toBe(2)
      for (const work of [
        () => provider.execute(id, add(1), { signal: first.signal }),
        () => provider.snapshot(id, { signal: first.signal }),
        () => provider.create({ seed: 1n, signal: first.signal }),
      ])
        await expect(work()).rejects.toMatchObject(aborted)
      expect(await provider.list()).toHaveLength(1)
      expect(await value(id, add(0))).toBe(2)
    })

    it('is called off by its deadline, and has no effect', async () => {
      const late = { code: 'DEADLINE_EXCEEDED', isRetryable: true }
      const id = await born()
      await provider.execute(id, add(1))
      const { id: snapshotId } = await provider.snapshot(id)
      const deadlineMs = 150
      expect(await failure(provider.execute(id, dialect.neverEnds, { deadlineMs }))).toMatchObject(
        late,
      )
      // What waits its turn is late as well.
      const running = failure(provider.execute(id, dialect.neverEnds, { timeMs: 500 }))
      expect(await failure(provider.snapshot(id, { deadlineMs }))).toMatchObject(late)
      expect(await running).toMatchObject({ code: 'EXECUTION_TIMEOUT' })
      expect(await value(id, add(1))).toBe(2)
      for (const work of [
        () => provider.create({ seed: 1n, deadlineMs: 0 }),
        () => provider.snapshot(id, { deadlineMs: -1 }),
        () => provider.branch(snapshotId, 1, { deadlineMs: Number.NaN }),
        () => provider.execute(id, add(1), { deadlineMs: 0 }),
        () => provider.forget(snapshotId, { deadlineMs: 0 }),
        () => provider.merge([id], { winner: id }, { deadlineMs: 0 }),
        () => provider.destroy(id, { deadlineMs: 0 }),
      ])
        await expect(work()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      const generous = { deadlineMs: 60_000 }
      const children = ids(await provider.branch(snapshotId, 2, generous))
      await provider.merge(children, { winner: children[0] ?? '' }, generous)
      await provider.destroy(children[0] ?? '', generous)
      await provider.forget(snapshotId, generous)
      expect(ids(await provider.list())).toEqual([id])
    })

    it('has either happened or not when its caller aborts it late', async () => {
      const id = await born()
      let done = 0
      for (let i = 0; i < 40; i++) {
        const controller = new AbortController()
        const run = provider.execute(id, add(1), { signal: controller.signal })
        const outcome = run.then(() => 1).catch(() => 0)
        for (let wait = 0; wait < i % 8; wait++) await immediate()
        controller.abort()
        done += await outcome
      }
      expect(await value(id, add(0))).toBe(done)
    })

    it('has limits that leave no mark on the world', async () => {
      if (!provider.capabilities().deterministic) return
      const [one, other] = [await born(), await born()]
      const { stateRoot } = await provider.execute(one, add(1), { memoryBytes: 8_388_608 })
      const run = await provider.execute(other, add(1), { memoryBytes: 16_777_216, timeMs: 9_999 })
      expect(run.stateRoot).toBe(stateRoot)
    })

    it('has limits that make sense', async () => {
      const id = await born()
      for (const limits of [{ timeMs: 0 }, { timeMs: Number.NaN }, { memoryBytes: -1 }])
        await expect(provider.execute(id, add(1), limits)).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        })
    })
  })

  describe('output', () => {
    it('is captured by stream', async () => {
      const run = await provider.execute(await born(), dialect.print)
      expect(run).toMatchObject({ value: null, stdout: 'out\n', stderr: 'err\n', exitCode: 0 })
      expect(run.tookMs).toBeGreaterThan(0)
    })

    it('is heard, all of it, once', async () => {
      const id = await born()
      for (const code of [dialect.print, dialect.printsTooMuch]) {
        const heard = { stdout: '', stderr: '' }
        const run = await provider.execute(id, code, {
          onOutput: ({ stream, text }) => void (heard[stream] += text),
        })
        expect(heard).toEqual({ stdout: run.stdout, stderr: run.stderr })
      }
    })

    it('is heard while the program runs', async () => {
      const id = await born()
      const controller = new AbortController()
      const heard: unknown[] = []
      const run = provider.execute(id, dialect.printsAndStays, {
        signal: controller.signal,
        timeMs: 60_000,
        onOutput: (output) => {
          heard.push(output)
          controller.abort()
        },
      })
      await expect(run).rejects.toMatchObject({ code: 'ABORTED' })
      expect(heard).toEqual([{ stream: 'stdout', text: 'out\n' }])
      expect(await value(id, add(1))).toBe(1)
    })

    it('is bounded', async () => {
      const { stdout } = await provider.execute(await born(), dialect.printsTooMuch)
      expect(stdout.length).toBeGreaterThan(1_000)
      expect(stdout.length).toBeLessThanOrEqual(65_536)
    })
  })
}
