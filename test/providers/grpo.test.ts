import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { array, assert, double, option, pre, property } from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createEvmProvider } from '../../providers/evm/provider.ts'
import {
  divergence,
  gradient,
  type Policy,
  ratio,
  sample,
  step,
} from '../../providers/grpo/policy.ts'
import {
  createGrpoProvider,
  type Optimization,
  type Optimizer,
} from '../../providers/grpo/provider.ts'
import {
  advantages,
  DEFAULT_TRAINING,
  type Lesson,
  normals,
  train,
  type Training,
} from '../../providers/grpo/train.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { braess } from '../../providers/scenarios/braess.ts'
import { pigou } from '../../providers/scenarios/pigou.ts'
import { scenarioSpec } from '../../providers/scenarios/scenario.ts'
import type { JournalEvent } from '../../sdk/journal.ts'
import { journalledVerb } from '../../providers/workload.ts'
import { failure } from './conformance.ts'

const SEEDS = ['1', '1069', '18446744073709551615']

describe('advantages', () => {
  const cost = double({ min: 0, max: 1e6, noNaN: true })
  it('sum to 0 in every group, in deviations of the group', () => {
    assert(
      property(array(option(cost, { freq: 5 }), { minLength: 2, maxLength: 64 }), (costs) => {
        pre(costs.filter((each) => each !== null).length >= 2)
        const gains = advantages(costs)
        const sum = (of: (gain: number) => number) => gains.reduce((all, gain) => all + of(gain), 0)
        expect(Math.abs(sum((gain) => gain))).toBeLessThan(1e-6)
        const spread = sum((gain) => gain ** 2) / costs.length
        expect(Math.min(Math.abs(spread - 1), spread)).toBeLessThan(1e-6)
      }),
    )
  })

  it('favour what costs less, most of all over what came to nothing', () => {
    expect(advantages([1, 3])).toEqual([1, -1])
    expect(advantages([2, 2, 2])).toEqual([0, 0, 0])
    expect(advantages([0.1 + 0.2, 0.3])).toEqual([0, 0])
    const [cheap, dear, lost] = advantages([1, 2, null])
    expect([cheap, dear, lost]).toEqual(advantages([1, 2, 3]))
    expect(advantages([0, 0, null])).toEqual(advantages([0, 0, 1]))
    expect(advantages([3e-200, 1e-200])).toEqual([-1, 1])
  })
})

describe('a policy', () => {
  const policy: Policy = { mean: [0.3, 0.7], logStd: [Math.log(0.2), Math.log(0.05)] }
  const other: Policy = { mean: [0.5, 0.6], logStd: [Math.log(0.25), Math.log(0.1)] }

  it('draws from its own distribution', () => {
    const draws = sample(policy, 20_000, normals(5n))
    for (const i of [0, 1]) {
      const mean = draws.reduce((sum, draw) => sum + draw[i]!, 0) / draws.length
      const variance = draws.reduce((sum, draw) => sum + (draw[i]! - mean) ** 2, 0) / draws.length
      expect(mean).toBeCloseTo(policy.mean[i]!, 2)
      expect(Math.sqrt(variance)).toBeCloseTo(Math.exp(policy.logStd[i]!), 2)
    }
  })

  it('weighs draws of another by what they say on average: 1', () => {
    const draws = sample(other, 20_000, normals(6n))
    const mean = draws.reduce((sum, draw) => sum + ratio(policy, other, draw), 0) / draws.length
    expect(mean).toBeCloseTo(1, 1)
    expect(ratio(policy, policy, [0.9, 0.1])).toBe(1)
  })

  it('diverges from another by what their draws say, and not from itself', () => {
    const draws = sample(policy, 50_000, normals(7n))
    const mean =
      draws.reduce((sum, draw) => sum + Math.log(ratio(policy, other, draw)), 0) / draws.length
    expect(divergence(policy, other)).toBeCloseTo(mean, 1)
    expect(divergence(policy, policy)).toBe(0)
  })

  it('goes up the slope of what it is trained for', () => {
    const draws = sample(other, 32, normals(8n))
    const weights = advantages(draws.map(([a, b]) => a! + b! ** 2)).map((gain) => gain / 32)
    const kl = 0.3
    const surrogate = (at: Policy) =>
      draws.reduce((sum, draw, n) => sum + weights[n]! * Math.log(ratio(at, other, draw)), 0) -
      kl * divergence(at, other)
    const slope = gradient(policy, draws, weights, other, kl)
    const h = 1e-6
    const moved = (part: keyof Policy, i: number, by: number): Policy => ({
      ...policy,
      [part]: policy[part].map((each, at) => (at === i ? each + by : each)),
    })
    for (const i of [0, 1]) {
      const numeric = (part: keyof Policy) =>
        (surrogate(moved(part, i, h)) - surrogate(moved(part, i, -h))) / (2 * h)
      // Fisher's information of a mean is 1 / variance, of the deviation's logarithm 2.
      expect(slope.mean[i]).toBeCloseTo(numeric('mean') * Math.exp(2 * policy.logStd[i]!), 6)
      expect(slope.logStd[i]).toBeCloseTo(numeric('logStd') / 2, 6)
    }
    expect(step(policy, { mean: [9, -9], logStd: [99, -99] }, 1)).toEqual({
      mean: [1, 0],
      logStd: [0, Math.log(1e-9)],
    })
  })
})

const training = { ...DEFAULT_TRAINING, groups: 12, groupSize: 8, staleness: 2, seed: 3n }

function cost(draw: readonly number[]): number {
  return (draw[0]! - 0.2) ** 2 + (draw[1]! - 0.9) ** 2
}

async function play(draws: readonly (readonly number[])[]): Promise<number[]> {
  return draws.map(cost)
}

/** Trains on `cost`; what the lessons say. */
async function lessonsOf(change: Partial<Training>) {
  return (await train(2, { ...training, ...change }, play)).lessons
}

function clipped(lessons: Lesson[]): number {
  return lessons.reduce((sum, lesson) => sum + lesson.clipped, 0)
}

describe('training', () => {
  it.each([0, 1, 3])(
    'is %i updates behind at most, and as many groups ahead',
    async (staleness) => {
      let underWay = 0
      let most = 0
      const { lessons } = await train(2, { ...training, staleness }, async (draws) => {
        most = Math.max(most, ++underWay)
        await sleep(1)
        underWay--
        return draws.map(cost)
      })
      expect(lessons.map((lesson) => lesson.staleness)).toEqual(
        lessons.map((_, index) => Math.min(index, staleness)),
      )
      expect(most).toBe(staleness + 1)
    },
  )

  it('does not depend on when rollouts end', async () => {
    const results = await Promise.all(
      [0n, 1n, 2n].map((order) => {
        const delay = normals(order)
        return train(2, training, async (draws) => {
          await sleep(Math.abs(delay()) * 4)
          return draws.map(cost)
        })
      }),
    )
    expect(results[1]).toEqual(results[0])
    expect(results[2]).toEqual(results[0])
    const another = await train(2, { ...training, seed: 4n }, async (draws) => draws.map(cost))
    expect(another.policy).not.toEqual(results[0]?.policy)
  })

  it('clips what has become too probable, the more the older it is', async () => {
    const fresh = clipped(await lessonsOf({ staleness: 0 }))
    const stale = clipped(await lessonsOf({ staleness: 3 }))
    expect(fresh).toBeGreaterThan(0)
    expect(stale).toBeGreaterThan(fresh)
    expect(clipped(await lessonsOf({ staleness: 3, clip: 10 }))).toBeLessThan(stale)
  })

  it('stays near its reference when that weighs much', async () => {
    const [free, held] = [await lessonsOf({ kl: 0 }), await lessonsOf({ kl: 2 })]
    expect(held.at(-1)!.kl).toBeLessThan(free.at(-1)!.kl / 2)
  })

  it('ends with a failure, and tells the rollouts that are still under way', async () => {
    let told = 0
    const run = train(2, { ...training, staleness: 2 }, async (draws, signal) => {
      signal.addEventListener('abort', () => told++)
      await sleep(5)
      if (told === 0) throw new Error('lost')
      return draws.map(cost)
    })
    await expect(run).rejects.toThrow('lost')
    expect(told).toBe(3)
    const hopeless = train(2, training, async (draws) => draws.map((_, i) => (i === 0 ? 1 : null)))
    await expect(hopeless).rejects.toMatchObject({ code: 'ROLLOUTS_FAILED' })
  })
})

describe('grpo', () => {
  let dataDir: string
  let worlds: WorldRuntimeProvider
  let grpo: Optimizer
  const link = { source: 'keeper', target: 'grpo', name: 'default', config: {} }
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'grpo-'))
    worlds = createQuickjsProvider()
    await worlds.init({ dataDir: join(dataDir, 'quickjs') })
    grpo = createGrpoProvider({ worlds })
    await grpo.init({ dataDir: join(dataDir, 'grpo') })
  })
  afterEach(async () => {
    for (const world of await worlds.list()) await worlds.destroy(world.id)
  })
  afterAll(async () => {
    await grpo.shutdown()
    await worlds.shutdown()
    await rm(dataDir, { recursive: true })
  })

  /** A world that was prepared, as a snapshot. */
  async function prepared(setup: string, from = worlds): Promise<string> {
    const { id } = await from.create({ seed: 1n })
    await from.execute(id, setup)
    const snapshot = await from.snapshot(id)
    await from.destroy(id)
    return snapshot.id
  }

  const verse = { name: 'optimal', strategy: 'cooperative', trit: 0, outcome: 1 }
  const flow = [{ name: 'flow', low: 0, high: 1 }]
  const small = { groups: 4, groupSize: 4 }
  async function taskOf(program: string, parameters = flow): Promise<Optimization> {
    const snapshotId = await prepared('1')
    return {
      snapshotId,
      verse,
      parameters,
      program: { program, seed: 1 },
      training: small,
      seed: '1',
    }
  }

  it.each([1, 4].flatMap((degree) => SEEDS.map((seed) => [degree, seed] as const)))(
    'comes within a hundredth of the optimum of Pigou of degree %i with seed %s',
    async (degree, seed) => {
      const spec = scenarioSpec(pigou(degree))
      const snapshotId = await prepared(spec.setup)
      const { program, seed: chance } = spec
      const trained = await grpo.optimize({
        snapshotId,
        program: { program, seed: chance },
        verse: { ...verse, strategy: 'selfish' },
        parameters: spec.parameters!,
        seed,
      })
      const optimum = 1 - degree * (degree + 1) ** (-(degree + 1) / degree)
      expect(trained.cost / optimum).toBeGreaterThan(1 - 1e-12)
      expect(trained.cost / optimum).toBeLessThan(1.01)
      expect(trained.before).toBe(1)
      expect(trained.parameters[0]).toBeCloseTo((1 / (degree + 1)) ** (1 / degree), 1)
      expect(trained).toMatchObject({ rollouts: 480, failed: 0 })
      expect(await worlds.list()).toEqual([])
    },
  )

  // The player's losses; the opponent knows her chances and answers with the worst column.
  const game = `globalThis.losses = [[4, 1], [1, 3]]`
  const answer = `const [chance] = input.parameters
    const columns = [0, 1].map((j) => chance * losses[0][j] + (1 - chance) * losses[1][j])
    return { cost: Math.max(...columns) }`
  it.each(SEEDS)(
    'comes within a hundredth of the equilibrium of a matrix game with seed %s',
    async (seed) => {
      const snapshotId = await prepared(game)
      const parameters = [{ name: 'chance', low: 0, high: 1 }]
      const task = { snapshotId, program: { program: answer, seed: 1 }, verse, parameters, seed }
      const { parameters: chances, cost } = await grpo.optimize(task)
      // Both columns cost the same when the first row has chance 2/5: 11/5.
      expect(cost / 2.2).toBeLessThan(1.01)
      expect(Math.abs(chances[0]! - 0.4)).toBeLessThan(0.01)
    },
  )

  it('trains several parameters at once, the same for the same seed', async () => {
    const spec = scenarioSpec(braess())
    const task = {
      snapshotId: await prepared(spec.setup),
      program: { program: spec.program, seed: 1 },
      verse,
      parameters: spec.parameters!,
      seed: '7',
    }
    const [first, second] = await Promise.all([grpo.optimize(task), grpo.optimize(task)])
    expect(first.cost / 1.5).toBeLessThan(1.01)
    expect(second).toEqual(first)
  })

  it('works on another backend that branches', async () => {
    const evm = createEvmProvider({ maxProcesses: 4 })
    await evm.init({ dataDir: join(dataDir, 'evm') })
    const other = createGrpoProvider({ worlds: evm })
    await other.init({ dataDir: join(dataDir, 'grpo-evm') })
    const program = { steps: [], result: { cost: { $: 'input.parameters.0' } } }
    const trained = await other.optimize({
      snapshotId: await prepared('{"steps":[]}', evm),
      program: { language: 'evm', program: JSON.stringify(program), seed: 1 },
      verse,
      parameters: [{ name: 'cost', low: 1, high: 3 }],
      training: { groups: 6, groupSize: 4, rate: 0.5 },
      seed: '1',
    })
    // The program is nothing without its parameters.
    expect(trained.before).toBe(null)
    expect(trained.cost).toBeLessThan(1.6)
    expect(await evm.list()).toEqual([])
    await other.shutdown()
    await evm.shutdown()
  })

  it('goes on without rollouts that come to nothing', async () => {
    const program = `const [x] = input.parameters
      if (x > 0.7) throw new Error('too much')
      return { cost: x < 0.05 ? 'much' : 1 - x }`
    const trained = await grpo.optimize({ ...(await taskOf(program)), training: {} })
    expect(trained.failed).toBeGreaterThan(0)
    expect(trained.cost).toBeGreaterThanOrEqual(0.3)
    expect(trained.cost).toBeLessThan(0.33)
  })

  it.each([
    ['throws', 'throw 1'],
    ['reports no cost', 'return 5'],
    ['never ends', 'for (;;) {}'],
  ])('gives up on a program that always %s', async (_, program) => {
    const task = { ...(await taskOf(program)), timeMs: 20 }
    await expect(grpo.optimize(task)).rejects.toMatchObject({ code: 'ROLLOUTS_FAILED' })
    expect(await worlds.list()).toEqual([])
  })

  it('is stopped by its caller, and by time', async () => {
    const task = await taskOf('for (;;) {}')
    const controller = new AbortController()
    const stopped = failure(grpo.optimize(task, { signal: controller.signal }))
    await sleep(30)
    controller.abort()
    expect(await stopped).toMatchObject({ code: 'ABORTED' })
    await expect(grpo.optimize(task, { timeMs: 30 })).rejects.toMatchObject({
      code: 'EXECUTION_TIMEOUT',
    })
    while ((await worlds.list()).length > 0) await sleep(5)
  })

  it('refuses tasks that make no sense, and worlds that cannot be branched', async () => {
    const task = await taskOf('return { cost: 1 }')
    const wrong: object[] = [
      { parameters: [] },
      { parameters: [{ name: 'x', low: 1, high: 1 }] },
      ...[
        { groupSize: 1 },
        { groups: 0 },
        { clip: 0 },
        { kl: -1 },
        { rate: 0 },
        { rate: 2 },
        { epochs: 1.5 },
        { staleness: 17 },
        { deviation: 0 },
        { patience: 1 },
      ].map((training) => ({ training })),
      { seed: 'x' },
      { more: 1 },
    ]
    for (const change of wrong)
      await expect(grpo.optimize({ ...task, ...change })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      })
    await expect(grpo.optimize({ ...task, snapshotId: '0x' })).rejects.toMatchObject({
      code: 'UNKNOWN_SNAPSHOT',
    })
    const chained = createGrpoProvider({ worlds: grpo })
    await chained.init({ dataDir: join(dataDir, 'chained') })
    await expect(chained.optimize(task)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await chained.shutdown()
  })

  it('is reached through execute, by its links, and does nothing else', async () => {
    const task = await taskOf('return { cost: input.parameters[0] }')
    const run = await grpo.execute('a world', JSON.stringify(task))
    expect(run.value).toEqual(JSON.parse(JSON.stringify(await grpo.optimize(task))))
    expect(run).toMatchObject({ stdout: '', exitCode: 0 })
    await expect(grpo.execute('a world', 'nonsense')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    await expect(grpo.optimize(task, { component: 'keeper' })).rejects.toMatchObject({
      code: 'LINK_DENIED',
    })
    await grpo.receiveLinkConfig(link)
    // Its own link does not let the component into the worlds.
    await expect(grpo.optimize(task, { component: 'keeper' })).rejects.toMatchObject({
      code: 'LINK_DENIED',
    })
    await worlds.receiveLinkConfig({ ...link, target: 'quickjs' })
    await grpo.optimize(task, { component: 'keeper' })
    await worlds.deleteLink({ ...link, target: 'quickjs' })
    await grpo.deleteLink(link)
    for (const work of [
      () => grpo.create({ seed: 1n }),
      () => grpo.snapshot('x'),
      () => grpo.forget('x'),
      () => grpo.branch('x', 1),
      () => grpo.merge(['x'], { winner: 'x' }),
      () => grpo.destroy('x'),
    ])
      await expect(work()).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(await grpo.list()).toEqual([])
  })

  it('is journalled in one row, also when it fails', async () => {
    const rows: JournalEvent[] = []
    const call = { providerId: 'grpo', operation: 'optimize', verseId: null, input: { groups: 4 } }
    const write = (row: JournalEvent) => void rows.push(row)
    const task = await taskOf('return { cost: input.parameters[0] }')
    await journalledVerb(
      call,
      write,
      () => grpo.optimize(task),
      ({ cost }) => ({ cost }),
    )
    const lost = journalledVerb(
      call,
      write,
      () => grpo.optimize({ ...task, snapshotId: 'lost' }),
      () => ({}),
    )
    await expect(lost).rejects.toMatchObject({ code: 'UNKNOWN_SNAPSHOT' })
    expect(rows).toMatchObject([
      {
        kind: 'provider.invoked',
        operation: 'optimize',
        output: { cost: expect.any(Number) },
        error: null,
      },
      { operation: 'optimize', output: null, error: { code: 'UNKNOWN_SNAPSHOT' } },
    ])
  })
})
