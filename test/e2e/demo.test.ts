import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { closedFormOptimum } from '../../cli/scenario/checks.ts'
import { isRunning, readStack } from '../../cli/stack/record.ts'
import { demoOutput } from '../../sdk/output.ts'
import { lastJson, multiverse, start } from '../cli/harness.ts'

// `multiverse demo` with a place for temporary files of its own, so that what it leaves is seen.

// Everything here takes seconds; on a machine with other things to do, minutes.
vi.setConfig({ testTimeout: 300_000 })

let place: string

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'multiverse-e2e-'))
})

afterEach(async () => {
  await rm(place, { recursive: true, force: true })
})

test('demo proves what it claims and leaves nothing behind', async () => {
  const args = ['demo', '--json', '--outcome', 'nash', '--degree', '4']
  const ran = await multiverse(args, { TMPDIR: place, MULTIVERSE_BOOTSTRAP_MS: '1234' })
  expect(ran.stderr).not.toContain('did NOT hold')
  const summary = demoOutput.parse(lastJson(ran))
  expect(ran.stdout.trimEnd().split('\n')).toHaveLength(1)
  expect(Object.keys(summary)).toEqual(
    'ok chainId multiverse partition worlds probabilities winner outcome wev gf3 balances conserved timings'.split(
      ' ',
    ),
  )
  expect(summary).toMatchObject({
    ok: true,
    chainId: 31337,
    probabilities: ['0.45', '0.35', '0.2', '0'],
    winner: 'optimal',
    outcome: 'nash',
    gf3: { sum: 0, conserved: true },
    conserved: true,
  })
  expect(summary.worlds.map(({ name, trit, provider }) => ({ name, trit, provider }))).toEqual([
    { name: 'nash', trit: -1, provider: 'quickjs' },
    { name: 'optimal', trit: 0, provider: 'quickjs' },
    { name: 'chaos', trit: 1, provider: 'quickjs' },
  ])
  expect(summary.worlds.map(({ verse }) => verse)).toEqual(summary.partition.children.slice(0, 3))
  expect(summary.gf3.lanes).toEqual(
    summary.partition.children.slice(0, 3).map((verse) => ({
      verse,
      providers: ['quickjs', 'replay'],
      sum: 0,
      conserved: true,
    })),
  )
  const optimum = closedFormOptimum(4)
  expect(Number(summary.worlds[1]!.cost)).toBeCloseTo(optimum, 6)
  expect(Number(summary.wev.ratio)).toBeCloseTo(1 / optimum - 1, 6)
  expect(Number(summary.wev.abs)).toBeCloseTo(1 - optimum, 6)
  // By hand. K is 942.5 + 1 wei; the least of each just before the answer: alice 450, bob 0, carol 0.
  expect(summary.wev.nominal).toBe('2827.500000000000000003')
  expect(summary.wev.realized).toBe('492.500000000000000001')
  expect(summary.balances.before['alice']?.['root']).toBe('1000')
  expect(summary.balances.after['alice']).toEqual({
    root: '850',
    nash: '0',
    optimal: '675.25',
    chaos: '600',
    void: '600.000000000000000001',
  })
  expect(summary.timings.bootstrapMs).toBe(1234)
  for (const ms of Object.values(summary.timings)) expect(ms).toBeGreaterThan(0)
  expect(ran.code).toBe(0)
  expect(await readdir(place)).toEqual([])
})

test('ended in the middle, demo leaves neither a process nor a file', async () => {
  const child = start(['demo'], { TMPDIR: place })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const folder = async () => {
    const [name] = await readdir(place)
    return name === undefined ? undefined : readStack(join(place, name))
  }
  let record = await folder()
  while (!record?.processes.some(({ name }) => name === 'keeper')) {
    await sleep(20)
    record = await folder()
  }
  child.kill('SIGINT')
  await once(child, 'close')
  expect(stderr).toContain('error INTERRUPTED: ended before it was done\n')
  expect(child.exitCode).toBe(130)
  for (const each of record.processes) expect(await isRunning(each)).toBe(false)
  expect(await readdir(place)).toEqual([])
})
