import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { assert, asyncProperty, integer } from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEvmProvider } from '../../providers/evm/provider.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { bisect } from '../../providers/replay/bisect.ts'
import { type Claim, hashValue, type Lane, type Verdict } from '../../providers/replay/lane.ts'
import { createReplayProvider, type Verifier } from '../../providers/replay/provider.ts'
import { sample } from '../../providers/replay/verify.ts'
import { failure } from './conformance.ts'
import { evm } from './evm.ts'
import { javascript } from './javascript.ts'

describe('bisect', () => {
  it('finds the first step that is not agreed on, with few questions', async () => {
    await assert(
      asyncProperty(
        integer({ min: 1, max: 5_000 }),
        integer({ min: 0, max: 4_999 }),
        async (count, at) => {
          const first = at % count
          let asked = 0
          const found = await bisect(0, count - 1, async (step) => {
            asked++
            return step < first
          })
          expect(found).toBe(first)
          expect(asked).toBeLessThanOrEqual(Math.ceil(Math.log2(count)))
        },
      ),
    )
  })
})

describe('sample', () => {
  it('misses false lanes as seldom as it says', async () => {
    const [rate, against, of] = [0.3, 3, 40]
    const lanes = Array.from({ length: of }, (_, i) => ({ worlds: `${i}` }) as Lane)
    const verdict: Verdict = { kind: 'verified', steps: 1, tookMs: 0 }
    let [missed, checked] = [0, 0]
    const runs = 4_000
    for (let seed = 0; seed < runs; seed++) {
      const sampled = await sample(
        lanes,
        { rate, against, seed: BigInt(seed) },
        async () => verdict,
      )
      expect(sampled).toMatchObject({ of, rate, against })
      expect(sampled.missProbability).toBeCloseTo(0.343, 12)
      checked += sampled.verdicts.length
      // The false lanes are 5, 17 and 30.
      if (!sampled.verdicts.some(({ lane }) => [5, 17, 30].includes(lane))) missed++
    }
    // Four standard deviations of a binomial.
    expect(Math.abs(missed / runs - 0.343)).toBeLessThan(4 * Math.sqrt((0.343 * 0.657) / runs))
    expect(checked / runs / of).toBeCloseTo(rate, 1)
  })
})

/** The lane with another claim for one of its steps. */
function falsified(lane: Lane, step: number, claim: Partial<Claim>): Lane {
  const steps = lane.steps.map((each, i) => (i === step ? { ...each, ...claim } : each))
  return { ...lane, steps }
}

/** A claimant that has these claims, and what it was asked for. */
function ask(claims: readonly Claim[]) {
  const asked: number[] = []
  const claimant = async (step: number): Promise<Claim> => {
    asked.push(step)
    return claims[step]!
  }
  return { asked, claimant }
}

describe('replay', () => {
  let folder: string
  let worlds: WorldRuntimeProvider
  let replay: Verifier
  const liars = new URL('fixtures/liars.ts', import.meta.url).href

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'replay-'))
    worlds = createQuickjsProvider({ workers: 1 })
    await worlds.init({ dataDir: join(folder, 'quickjs') })
    const lying = ['dies', 'silent', 'garbage', 'fickle', 'babbling', 'honest']
    replay = createReplayProvider({
      worlds: {
        quickjs: { dataDir: join(folder, 'quickjs') },
        ...Object.fromEntries(
          lying.map((id) => [id, { dataDir: join(folder, 'quickjs'), module: liars }]),
        ),
      },
      processes: 1,
      graceMs: 1_500,
    })
    await replay.init({ dataDir: join(folder, 'replay') })
  })
  afterAll(async () => {
    await replay.shutdown()
    await worlds.shutdown()
    await rm(folder, { recursive: true })
    const left = await children()
    if (left.length > 0) throw new Error(`processes left behind: ${left.join(', ')}`)
  })

  /** Runs codes in a world and claims what came out. */
  async function laneOf(
    codes: readonly string[],
    from: Lane['from'] = { kind: 'seed', seed: '7' },
    provider = worlds,
  ): Promise<Lane> {
    const world =
      from.kind === 'seed'
        ? (await provider.create({ seed: BigInt(from.seed) })).id
        : (await provider.branch(from.snapshotId, 1))[0]!.id
    const steps: Lane['steps'] = []
    for (const code of codes) {
      const { stateRoot, value } = await provider.execute(world, code)
      steps.push({ code, stateRoot, value: value as never })
    }
    await provider.destroy(world)
    return { worlds: provider.id, from, steps }
  }

  const codes = [
    'globalThis.log = [Math.random()]; log.length',
    ...Array.from({ length: 6 }, (_, i) => `log.push(Date.now() + ${i}); log.length`),
    '({ cost: log.reduce((sum, each) => sum + each, 0) })',
  ]
  const otherRoot = `0x${'12'.repeat(32)}`

  it('confirms what was done, from a seed and from a snapshot', async () => {
    const lane = await laneOf(codes)
    expect(await replay.verify(lane)).toMatchObject({ kind: 'verified', steps: 8 })
    const { id } = await worlds.create({ seed: 3n })
    await worlds.execute(id, 'globalThis.log = [1, 2]')
    const { id: snapshotId } = await worlds.snapshot(id)
    await worlds.destroy(id)
    const branched = await laneOf(codes.slice(1), { kind: 'snapshot', snapshotId })
    expect(await replay.verify(branched)).toMatchObject({ kind: 'verified', steps: 7 })
    // What is not claimed is not compared.
    const silent = {
      ...lane,
      steps: lane.steps.map(({ code, stateRoot }) => ({ code, stateRoot })),
    }
    expect(await replay.verify(silent)).toMatchObject({ kind: 'verified' })
  })

  it('names the first step that is false, whatever follows it', async () => {
    const lane = await laneOf(codes)
    for (const step of [0, 3, 7]) {
      const verdict = await replay.verify(falsified(lane, step, { stateRoot: otherRoot }))
      expect(verdict).toMatchObject({
        kind: 'diverged',
        step,
        what: 'stateRoot',
        claimed: { stateRoot: otherRoot },
        computed: { kind: 'done', stateRoot: lane.steps[step]!.stateRoot },
      })
    }
    const twice = falsified(falsified(lane, 6, { stateRoot: otherRoot }), 2, { value: 99 })
    expect(await replay.verify(twice)).toMatchObject({ kind: 'diverged', step: 2, what: 'value' })
    // A cheaper cost than the world came to.
    const cheap = await replay.verify(falsified(lane, 7, { value: { cost: 1 } }))
    expect(cheap).toMatchObject({ kind: 'diverged', step: 7, what: 'value' })
    expect(cheap).toMatchObject({ codeHash: expect.stringMatching(/^0x[0-9a-f]{64}$/) })
  })

  it('takes the hash of an answer for the answer', async () => {
    const lane = await laneOf(codes)
    const hashed = (claim: unknown): Lane => ({
      ...lane,
      steps: lane.steps.map(({ code, stateRoot, value }, step) => {
        return { code, stateRoot, valueHash: hashValue(step === 7 ? claim : value) }
      }),
    })
    expect(await replay.verify(hashed(lane.steps[7]!.value))).toMatchObject({ kind: 'verified' })
    expect(await replay.verify(hashed({ cost: 1 }))).toMatchObject({
      kind: 'diverged',
      step: 7,
      what: 'value',
      claimed: { valueHash: hashValue({ cost: 1 }) },
    })
  })

  it('does a lane again under the limits of the provider that it ran at', async () => {
    const limits = { timeMs: 60_000, memoryBytes: 134_217_728 }
    const dataDir = join(folder, 'roomy')
    const roomy = createQuickjsProvider({ workers: 1 })
    await roomy.init({ dataDir, limits })
    // More than a world of QuickJS may use by default.
    const codes = ['globalThis.all = new Array(5e6).fill(1); all.length']
    const lane = { ...(await laneOf(codes, { kind: 'seed', seed: '7' }, roomy)), limits }
    await roomy.shutdown()
    for (const [bounds, kind] of [
      [{ limits }, 'verified'],
      [{}, 'diverged'],
    ] as const) {
      const other = createReplayProvider({
        worlds: { quickjs: { dataDir, ...bounds } },
        processes: 1,
      })
      await other.init({ dataDir: join(folder, 'replay-roomy') })
      await other.warm(['quickjs'])
      expect(await other.verify(lane)).toMatchObject({ kind })
      await other.shutdown()
    }
  })

  it('sees a code that was not the one, a run that fails, and a claim that is none', async () => {
    const lane = await laneOf(codes)
    const other = {
      ...lane,
      steps: lane.steps.map((each, i) => (i === 4 ? { ...each, code: '1' } : each)),
    }
    expect(await replay.verify(other)).toMatchObject({ kind: 'diverged', step: 4 })
    const failing = {
      ...lane,
      steps: lane.steps.map((each, i) => (i === 1 ? { ...each, code: 'throw 1' } : each)),
    }
    expect(await replay.verify(failing)).toMatchObject({
      kind: 'diverged',
      step: 1,
      what: 'failure',
      computed: { kind: 'failed', code: 'PROGRAM_ERROR' },
    })
    for (const stateRoot of ['', 'trust me', '0x12', otherRoot.toUpperCase()])
      expect(await replay.verify(falsified(lane, 5, { stateRoot }))).toMatchObject({
        kind: 'diverged',
        step: 5,
        what: 'claim',
        computed: null,
      })
  })

  it('does not take another seed, or another beginning, for the same', async () => {
    const lane = await laneOf(codes)
    const seeded: Lane = { ...lane, from: { kind: 'seed', seed: '8' } }
    expect(await replay.verify(seeded)).toMatchObject({ kind: 'diverged', step: 0 })
    const lost: Lane = { ...lane, from: { kind: 'snapshot', snapshotId: otherRoot } }
    await expect(replay.verify(lost)).rejects.toMatchObject({ code: 'UNKNOWN_SNAPSHOT' })
  })

  it('uses no snapshot that is corrupt', async () => {
    const { id } = await worlds.create({ seed: 77n })
    const { id: snapshotId } = await worlds.snapshot(id)
    const lane = await laneOf(['1'], { kind: 'snapshot', snapshotId })
    const path = join(folder, 'quickjs', 'snapshots', snapshotId, 'index')
    const bytes = await readFile(path)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    await writeFile(path, bytes)
    await expect(replay.verify(lane)).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' })
    await worlds.destroy(id)
  })

  it('asks a claimant of few steps, and finds where it lies', async () => {
    const many = ['globalThis.n = 0', ...Array.from({ length: 99 }, () => '++n')]
    const lane = await laneOf(many)
    const { steps, ...rest } = lane
    const honest = ask(steps)
    expect(
      await replay.dispute({ ...rest, steps: many.map((code) => ({ code })) }, honest.claimant),
    ).toMatchObject({
      kind: 'verified',
      steps: 100,
    })
    expect(honest.asked).toEqual([99])
    // Another world from step 42 on, as one that was tampered with there would be.
    const tampered = await laneOf(many.map((code, i) => (i === 42 ? 'n += 5' : code)))
    const liar = ask(tampered.steps)
    expect(
      await replay.dispute({ ...rest, steps: many.map((code) => ({ code })) }, liar.claimant),
    ).toMatchObject({
      kind: 'diverged',
      step: 42,
    })
    expect(liar.asked.length).toBeLessThanOrEqual(9)
    const mad = ask(steps.map((each) => ({ ...each, stateRoot: 'mad' })))
    expect(
      await replay.dispute({ ...rest, steps: many.map((code) => ({ code })) }, mad.claimant),
    ).toMatchObject({
      kind: 'diverged',
      step: 0,
      what: 'claim',
    })
  })

  it.each([
    ['dies', 'REPLAY_DIED', true],
    ['silent', 'REPLAY_TIMEOUT', true],
    ['garbage', 'REPLAY_INVALID', false],
    ['babbling', 'REPLAY_INVALID', false],
  ])(
    'says nothing of a lane when the world that should do it %s',
    async (liar, code, isRetryable) => {
      const lane = { ...(await laneOf(codes)), worlds: liar, limits: { timeMs: 100 } }
      await expect(replay.verify(lane)).rejects.toMatchObject({ code, isRetryable })
      // The verifier goes on, with another process if need be.
      const next = { ...lane, worlds: 'honest' }
      expect(await replay.verify(next)).toMatchObject({ kind: 'verified' })
    },
  )

  it('accuses nobody when a world differs from itself', async () => {
    const lane = { ...(await laneOf(codes)), worlds: 'fickle' }
    const verdict = await replay.verify(lane)
    expect(verdict).toMatchObject({ kind: 'undecided', step: 0 })
    expect(verdict).toMatchObject({ computed: [{ kind: 'done' }, { kind: 'done' }] })
  })

  it('is aborted by its caller, and bounds a program that never ends', async () => {
    const lane = await laneOf(codes)
    const endless = { ...lane, steps: [{ ...lane.steps[0]!, code: javascript.neverEnds }] }
    const controller = new AbortController()
    const run = failure(replay.verify(endless, { signal: controller.signal }))
    await sleep(100)
    controller.abort()
    expect(await run).toMatchObject({ code: 'ABORTED' })
    const bounded = await replay.verify({ ...endless, limits: { timeMs: 50 } })
    expect(bounded).toMatchObject({ what: 'failure', computed: { code: 'EXECUTION_TIMEOUT' } })
    expect(await replay.verify(lane)).toMatchObject({ kind: 'verified' })
  })

  it('checks some of many lanes, and says what that is worth', async () => {
    const lane = await laneOf(codes.slice(0, 2))
    const lanes = [lane, falsified(lane, 1, { stateRoot: otherRoot }), lane, lane]
    const all = await replay.sample(lanes, { rate: 1, seed: 1n })
    expect(all.verdicts.map(({ verdict }) => verdict.kind)).toEqual([
      'verified',
      'diverged',
      'verified',
      'verified',
    ])
    expect(all).toMatchObject({ of: 4, missProbability: 0 })
    const none = await replay.sample(lanes, { rate: 0, seed: 1n })
    expect(none).toMatchObject({ verdicts: [], missProbability: 1 })
    expect(() => replay.sample(lanes, { rate: 1.5, seed: 1n })).toThrow('is not from 0 to 1')
  })

  it('verifies worlds of another kind', async () => {
    const provider = createEvmProvider({ maxProcesses: 2 })
    await provider.init({ dataDir: join(folder, 'evm') })
    const lane = await laneOf(
      [evm.add(1), evm.random, evm.add(5)],
      { kind: 'seed', seed: '7' },
      provider,
    )
    const other = createReplayProvider({
      worlds: { evm: { dataDir: join(folder, 'evm') } },
      processes: 1,
    })
    await other.init({ dataDir: join(folder, 'replay-evm') })
    expect(await other.verify(lane)).toMatchObject({ kind: 'verified', steps: 3 })
    const cheap = falsified(lane, 2, { value: 7 })
    expect(await other.verify(cheap)).toMatchObject({ kind: 'diverged', step: 2, what: 'value' })
    await other.shutdown()
    await provider.shutdown()
  })

  it('is reached through execute, and refuses what is no lane', async () => {
    const lane = await laneOf(codes)
    const run = await replay.execute('a world', JSON.stringify(lane))
    expect(run.value).toMatchObject({ kind: 'verified', steps: 8 })
    for (const wrong of [{}, { ...lane, steps: [] }, { ...lane, from: { kind: 'nowhere' } }])
      await expect(replay.execute('a world', JSON.stringify(wrong))).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      })
    await expect(replay.verify({ ...lane, worlds: 'elsewhere' })).rejects.toMatchObject({
      code: 'UNKNOWN_PROVIDER',
    })
    expect(replay).toMatchObject({ id: 'replay', trit: -1 })
  })

  it('takes lanes side by side, and leaves no process behind', async () => {
    const other = createReplayProvider({
      worlds: { quickjs: { dataDir: join(folder, 'quickjs') } },
      processes: 2,
    })
    const before = await children()
    await other.init({ dataDir: join(folder, 'other') })
    const lane = await laneOf(codes)
    const verdicts = await Promise.all([1, 2, 3, 4, 5].map(() => other.verify(lane)))
    expect(verdicts.map(({ kind }) => kind)).toEqual(Array(5).fill('verified'))
    expect((await children()).length).toBe(before.length + 2)
    await other.shutdown()
    await other.shutdown()
    expect(await children()).toEqual(before)
    await expect(other.verify(lane)).rejects.toMatchObject({ code: 'NOT_INITIALIZED' })
  })
})

/** Ids of the verifiers' processes of this one. */
async function children(): Promise<string[]> {
  const found: string[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    const [, parent] = /^\d+ \(.*\) [^Z] (\d+)/.exec(stat) ?? []
    if (Number(parent) === process.pid && line.includes('replay/worker.ts')) found.push(name)
  }
  return found
}
