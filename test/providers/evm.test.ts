import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { keccak256, parseEther, toHex } from 'viem'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createEvmProvider } from '../../providers/evm/provider.ts'
import type { Origin, WorldRuntimeProvider } from '../../providers/provider.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { startFaultyRpc } from '../helpers/faultyRpc.ts'
import { canMakeDisks, makeDisk } from './disk.ts'
import { conformance, failure } from './conformance.ts'
import { addition, bare, COUNTER, evm, program, reverting } from './evm.ts'
import { conformanceBy } from './transports.ts'

const ALICE = '0x00000000000000000000000000000000000a11ce'
const BOB = '0x0000000000000000000000000000000000000b0b'

describe('evm', () => {
  conformanceBy({ 'in process': {}, 'over a unix socket': {} }, () => createEvmProvider(), {
    dialect: evm,
  })
  describe('with two processes for all worlds', () => {
    conformance({ create: async () => createEvmProvider({ maxProcesses: 2 }), dialect: evm })
  })

  describe('a program', () => {
    let dataDir: string
    let provider: WorldRuntimeProvider
    const born = async () => (await provider.create({ seed: 1n })).id
    const run = async (steps: Record<string, unknown>[], result?: unknown) =>
      (await provider.execute(await born(), program(steps, result))).value
    beforeAll(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'evm-'))
      provider = createEvmProvider()
      await provider.init({ dataDir })
    })
    afterAll(async () => {
      await provider.shutdown()
      await rm(dataDir, { recursive: true })
    })

    // Its constructor keeps its argument; called with a word it adds that, logs the sum and gives it back.
    const counter = `0x${deployable('5f545f3501805f555f5260205fa060205ff3')}`

    it('deploys, and later programs know what was deployed by its name', async () => {
      const id = await born()
      const deploy = { kind: 'deploy', as: 'game', bytecode: counter, inputs: ['uint256'] }
      await provider.execute(id, program([{ ...deploy, args: [40] }]))
      const { id: snapshotId } = await provider.snapshot(id)
      const [child] = await provider.branch(snapshotId, 1)
      const code = JSON.stringify({
        input: { by: '2' },
        program: {
          steps: [
            {
              kind: 'send',
              as: 'add',
              from: ALICE,
              to: { $: 'game.address' },
              data: `0x${'2'.padStart(64, '0')}`,
              returns: ['uint256'],
            },
            { kind: 'read', as: 'kept', what: 'storage', account: { $: 'game.address' } },
          ],
          result: {
            sum: { $: 'add.output' },
            by: { $: 'input.by' },
            add: { $: 'add' },
            kept: { $: 'kept' },
          },
        },
      })
      const { value } = await provider.execute(child?.id ?? '', code)
      expect(value).toMatchObject({
        sum: '42',
        by: '2',
        add: { status: 'success', logs: [{ topics: [], data: `0x${'2a'.padStart(64, '0')}` }] },
        kept: `0x${'2a'.padStart(64, '0')}`,
      })
    })

    it('speaks in functions, with arguments of every kind', async () => {
      // Gives its call's data back, without the selector.
      const echo = '0x600436038060045f375ff3'
      const types = '(uint8 a, (int256 b, string c)[] d, bytes e, address f, bool g, uint256[2] h)'
      const args = [7, [{ b: '-5', c: 'é' }, ['0x10', 'x']], '0x1234', ALICE, true, ['1', 2]]
      const value = await run(
        [
          { kind: 'code', account: BOB, bytecode: echo },
          { kind: 'call', as: 'it', to: BOB, function: `echo${types} returns ${types}`, args },
        ],
        { $: 'it.output' },
      )
      expect(value).toEqual([
        7,
        [
          { b: '-5', c: 'é' },
          { b: '16', c: 'x' },
        ],
        '0x1234',
        '0x00000000000000000000000000000000000A11cE',
        true,
        ['1', '2'],
      ])
    })

    it('moves money and time', async () => {
      const value = await run(
        [
          { kind: 'fund', account: ALICE, wei: parseEther('3').toString() },
          { kind: 'send', from: ALICE, to: BOB, value: parseEther('1').toString() },
          { kind: 'mine', blocks: 2, seconds: 86_400 },
          { kind: 'read', as: 'alice', what: 'balance', account: ALICE },
          { kind: 'read', as: 'bob', what: 'balance', account: BOB },
          { kind: 'read', as: 'nonce', what: 'nonce', account: ALICE },
          { kind: 'call', as: 'time', data: '0x425f5260205ff3', returns: ['uint48'] },
        ],
        ['alice', 'bob', 'nonce', 'time.output', 'head.number', 'head.timestamp'].map(($) => ({
          $,
        })),
      )
      // A second for the world's birth, for its seed, for this run and for the transaction.
      const now = 946_684_800 + 2 + 1 + 1 + 2 * 86_400
      expect(value).toEqual([
        parseEther('2').toString(),
        parseEther('1').toString(),
        '1',
        now,
        6,
        now,
      ])
    })

    it('may say that a revert is an outcome', async () => {
      const revert = { data: `0x${reverting('enough')}`, mayRevert: true }
      const value = await run(
        [
          { kind: 'code', account: BOB, bytecode: `0x${reverting('enough')}` },
          { kind: 'call', as: 'called', ...revert },
          { kind: 'send', as: 'sent', to: BOB, mayRevert: true },
        ],
        ['called.status', 'called.reason', 'sent.status', 'sent.reason'].map(($) => ({ $ })),
      )
      expect(value).toEqual(['reverted', 'reverted: enough', 'reverted', 'reverted: enough'])
    })

    it.each<[what: string, code: string, message: RegExp]>([
      ['no JSON', 'pragma solidity', /not JSON/],
      ['no program', '[]', /wrong at the top/],
      ['an unknown step', program([{ kind: 'mint' }]), /wrong at steps.0/],
      ['a foreign field', program([{ kind: 'mine', days: 1 }]), /wrong at steps.0/],
      ['a wrong address', program([{ kind: 'send', to: '0x1' }]), /steps.0.to: an address/],
      [
        'a step that refers to nothing',
        program([{ kind: 'send', to: { $: 'x.y' } }]),
        /x.y stands for nothing/,
      ],
      [
        'a taken name',
        program([{ kind: 'read', as: 'head', what: 'code', account: BOB }]),
        /taken/,
      ],
      [
        'a wrong signature',
        program([{ kind: 'call', to: BOB, function: 'no()(' }]),
        /step 0 \(call\)/,
      ],
      [
        'too few arguments',
        program([{ kind: 'call', to: BOB, function: 'f(uint8 a)' }]),
        /1 arguments are wanted/,
      ],
      [
        'a number too large',
        program([{ kind: 'call', to: BOB, function: 'f(uint8 a)', args: [256] }]),
        /step 0/,
      ],
      [
        'money that is not there',
        program([{ kind: 'send', from: ALICE, to: BOB, value: 1 }]),
        /Insufficient funds/,
      ],
      [
        'a transaction without enough gas',
        program([...addition(1), { kind: 'send', to: COUNTER, gas: 21_500 }]),
        /out of gas/,
      ],
      ['an invalid instruction', bare('fe', 'bool'), /EVM stopped/],
      [
        'a revert in its own words',
        program([{ kind: 'call', data: `0x${reverting('no')}` }]),
        /step 0 \(call\): reverted: no/,
      ],
    ])('with %s is told so', async (_, code, message) => {
      const id = await born()
      await expect(provider.execute(id, code)).rejects.toMatchObject({
        code: 'PROGRAM_ERROR',
        message: expect.stringMatching(message),
      })
    })

    it('has a bounded memory, of calls and of transactions', async () => {
      const id = await born()
      const eater = [
        { kind: 'code', account: BOB, bytecode: '0x6001631000000052' },
        { kind: 'send', to: BOB },
      ]
      for (const code of [program(eater), evm.eatsMemory])
        await expect(provider.execute(id, code)).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' })
    })
  })

  describe('alone', () => {
    let dataDir: string
    let provider: WorldRuntimeProvider
    const born = async () => (await provider.create({ seed: 1n })).id
    beforeEach(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'evm-'))
      provider = createEvmProvider({ maxProcesses: 4 })
      await provider.init({ dataDir })
    })
    afterEach(async () => {
      await provider.shutdown()
      await rm(dataDir, { recursive: true })
      const left = await anvils(process.pid)
      if (left.length > 0) throw new Error(`anvils left behind: ${left.join(', ')}`)
    })

    it("has the newest block's own state root", async () => {
      const id = await born()
      const { value, stateRoot } = await provider.execute(
        id,
        program(addition(5), { $: 'head.stateRoot' }),
      )
      expect(value).toBe(stateRoot)
      // What is changed without a transaction counts as well.
      const after = await provider.execute(id, program([{ kind: 'fund', account: BOB, wei: 1 }]))
      expect(after.stateRoot).not.toBe(stateRoot)
      expect((await provider.snapshot(id)).stateRoot).toBe(after.stateRoot)
    })

    it('computes the same in another process, and on from a live world', async () => {
      const id = await born()
      await provider.execute(id, evm.add(1))
      const snapshot = await provider.snapshot(id)
      // The hash of a block of an earlier run, PREVRANDAO, the clock.
      const code = program(
        [
          ...addition(7),
          {
            kind: 'call',
            as: 'old',
            data: '0x600443034044425f5260205260405260605ff3',
            returns: ['uint256', 'uint256', 'uint256'],
          },
        ],
        [{ $: 'old.output' }, { $: 'head' }],
      )
      const here = await provider.execute(id, code)
      const here2 = await provider.snapshot(id)
      const expected = { value: here.value, stateRoot: here.stateRoot }
      const [child] = await provider.branch(snapshot.id, 1)
      expect(await provider.execute(child?.id ?? '', code)).toMatchObject(expected)
      const { stdout } = await promisify(execFile)(process.execPath, [
        script,
        'run',
        dataDir,
        snapshot.id,
        code,
      ])
      expect(JSON.parse(stdout)).toEqual({ ...expected, snapshotId: here2.id })
    })

    it('refuses a snapshot file that was changed', async () => {
      const id = await born()
      const { id: snapshotId } = await provider.snapshot(id)
      const path = join(dataDir, `${snapshotId}.evm`)
      const good = await readFile(path)
      for (const bad of [
        Buffer.alloc(0),
        good.subarray(0, good.length - 9),
        Buffer.from('{}'),
        ...[20, 40, good.length >> 1].map((at) =>
          Buffer.from(good).fill((good[at] ?? 0) ^ 1, at, at + 1),
        ),
      ]) {
        await writeFile(path, bad)
        await expect(provider.branch(snapshotId, 1)).rejects.toMatchObject({
          code: 'SNAPSHOT_CORRUPT',
        })
      }
      expect(await provider.list()).toHaveLength(1)
      await provider.snapshot(id)
      expect(await provider.branch(snapshotId, 1)).toHaveLength(1)
      expect(await readdir(dataDir)).toEqual([`${snapshotId}.evm`])
    })

    it('loses no world with its anvil, and tells when one dies in the middle', async () => {
      const id = await born()
      await provider.execute(id, evm.add(1))
      await killAll(await anvils(process.pid))
      expect((await provider.execute(id, evm.add(1))).value).toBe(2)
      const running = failure(provider.execute(id, evm.neverEnds))
      await until(async () => (await anvils(process.pid)).length === 1)
      await sleep(20)
      await killAll(await anvils(process.pid))
      expect(await running).toMatchObject({ code: 'PROVIDER_FAILED' })
      expect((await provider.execute(id, evm.add(1))).value).toBe(3)
    })

    it('keeps no more processes than it may', async () => {
      const { id: snapshotId } = await provider.snapshot(await born())
      const children = await provider.branch(snapshotId, 20)
      await Promise.all(children.map((child) => provider.execute(child.id, evm.add(1))))
      expect((await anvils(process.pid)).length).toBeLessThanOrEqual(4)
      for (const child of children) await provider.destroy(child.id)
      await until(async () => (await anvils(process.pid)).length <= 1)
    })

    it('leaves no anvil behind when its host is killed', async () => {
      const host = spawn(process.execPath, [script, 'stay', dataDir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(host.stdout, 'data')
      const pids = await anvils(host.pid ?? 0)
      expect(pids).toHaveLength(2)
      host.kill('SIGKILL')
      await until(async () => (await Promise.all(pids.map(isAlive))).every((alive) => !alive))
    })
  })

  it.skipIf(!canMakeDisks)('a full disk fails a snapshot and leaves nothing of it', async () => {
    const { folder: disk, fill, empty, remove } = await makeDisk(4)
    const provider = createEvmProvider()
    try {
      await provider.init({ dataDir: disk })
      const { id } = await provider.create({ seed: 1n })
      const { id: before } = await provider.snapshot(id)
      const { stateRoot } = await provider.execute(id, evm.add(1))
      await fill()
      await expect(provider.snapshot(id)).rejects.toMatchObject({
        code: 'DISK_FULL',
        message: expect.stringContaining('disk is full') as string,
        isRetryable: true,
      })
      const files = (await readdir(disk)).filter((name) => name.endsWith('.evm'))
      expect(files).toEqual([`${before}.evm`])
      await empty()
      const after = await provider.snapshot(id)
      expect(after.stateRoot).toBe(stateRoot)
      const [child] = await provider.branch(after.id, 1)
      expect((await provider.execute(child!.id, evm.add(1))).value).toBe(2)
    } finally {
      await provider.shutdown()
      await remove()
    }
  })

  describe('from a block of another chain', () => {
    let chain: LocalChain
    let dataDir: string
    let provider: WorldRuntimeProvider
    let origin: Origin
    beforeAll(async () => {
      chain = await startChain()
      const { number, hash } = await chain.publicClient.getBlock()
      origin = { url: chain.url, blockNumber: Number(number), blockHash: hash }
      dataDir = await mkdtemp(join(tmpdir(), 'evm-'))
      provider = createEvmProvider()
      await provider.init({ dataDir })
    })
    afterAll(async () => {
      await provider.shutdown()
      await chain.stop()
      await rm(dataDir, { recursive: true })
    })

    it('begins with what is there, goes its own way, and leaves the chain alone', async () => {
      const { token } = chain.deployment.addresses
      const holder = chain.accounts[0]!.address
      const mint = (amount: string) =>
        program(
          [
            {
              kind: 'send',
              from: holder,
              to: token,
              function: 'mint(address to, uint256 amount)',
              args: [holder, amount],
            },
            { kind: 'call', as: 'symbol', to: token, function: 'symbol() returns (string)' },
            {
              kind: 'call',
              as: 'balance',
              to: token,
              function: 'balanceOf(address owner) returns (uint256)',
              args: [holder],
            },
          ],
          [{ $: 'symbol.output' }, { $: 'balance.output' }],
        )
      const world = await provider.create({ seed: 1n, origin })
      const first = await provider.execute(world.id, mint('5'))
      expect(first.value).toEqual(['mUSD', '5'])
      const snapshot = await provider.snapshot(world.id)
      expect(snapshot.stateRoot).toBe(first.stateRoot)
      const [left, right] = await provider.branch(snapshot.id, 2)
      const [one, other] = await Promise.all([
        provider.execute(left?.id ?? '', mint('10')),
        provider.execute(right?.id ?? '', mint('10')),
      ])
      expect(one.value).toEqual(['mUSD', '15'])
      expect(other).toMatchObject({ value: one.value, stateRoot: one.stateRoot })
      // The parent, whose anvil has run since, comes to the same state.
      expect((await provider.execute(world.id, mint('10'))).stateRoot).toBe(one.stateRoot)
      const elsewhere = await provider.execute(world.id, mint('1'))
      expect(elsewhere.value).toEqual(['mUSD', '16'])
      expect(elsewhere.stateRoot).not.toBe(one.stateRoot)
      expect(await chain.publicClient.getBlockNumber()).toBe(BigInt(origin.blockNumber))
    })

    it('refuses a block that is not there, and a chain that does not answer', async () => {
      const moved = { ...origin, blockHash: keccak256(toHex('another')) }
      await expect(provider.create({ seed: 1n, origin: moved })).rejects.toMatchObject({
        code: 'ORIGIN_MOVED',
      })
      const silent = { ...origin, url: 'http://127.0.0.1:1/a-secret' }
      await expect(provider.create({ seed: 1n, origin: silent })).rejects.toMatchObject({
        code: 'ORIGIN_FAILED',
        isRetryable: true,
        message: `block ${origin.blockNumber} of 127.0.0.1:1 cannot be had`,
      })
      for (const wrong of [
        { ...origin, url: 'file:///etc/passwd' },
        { ...origin, blockNumber: -1 },
        { ...origin, blockHash: '0x' as const },
      ])
        await expect(provider.create({ seed: 1n, origin: wrong })).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        })
    })

    it('passes on how long the chain asks to be left alone', async () => {
      const proxy = await startFaultyRpc(chain.url)
      const { id } = await provider.create({ seed: 1n, origin: { ...origin, url: proxy.url } })
      proxy.set({ refuses: { status: 429, retryAfterS: 9 } })
      const looks = program([
        { kind: 'read', as: 'it', what: 'code', account: chain.deployment.addresses.multiverse },
      ])
      await expect(provider.execute(id, looks)).rejects.toMatchObject({
        code: 'RATE_LIMITED',
        isRetryable: true,
        retryAfterMs: 9_000,
      })
      await provider.destroy(id)
      await proxy.stop()
    })

    it('blames the chain, not the program, when the chain is gone', async () => {
      const gone = await startChain()
      const { number, hash } = await gone.publicClient.getBlock()
      const from = { url: gone.url, blockNumber: Number(number), blockHash: hash }
      const { id } = await provider.create({ seed: 1n, origin: from })
      const { stateRoot } = await provider.execute(id, program([]))
      await gone.stop()
      const looks = program([
        { kind: 'read', as: 'it', what: 'code', account: gone.deployment.addresses.token },
      ])
      for (let i = 0; i < 2; i++)
        await expect(provider.execute(id, looks)).rejects.toMatchObject({
          code: 'ORIGIN_FAILED',
          isRetryable: true,
        })
      expect((await provider.snapshot(id)).stateRoot).toBe(stateRoot)
      await provider.destroy(id)
    })
  })
})

const script = fileURLToPath(new URL('fixtures/evm-process.ts', import.meta.url))

/** Code that keeps its one argument in its first word of storage and becomes `runtime`. */
function deployable(runtime: string): string {
  const size = (runtime.length / 2).toString(16).padStart(2, '0')
  // The argument follows all code.
  return `6020602038035f395f515f5560${size}60165f3960${size}5ff3${runtime}`
}

/** Ids of the anvils that a process has started. */
async function anvils(parent: number): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    const [, command, ppid] = /^\d+ \((.*)\) \S (\d+)/.exec(stat) ?? []
    if (command === 'anvil' && Number(ppid) === parent) found.push(Number(name))
  }
  return found
}

async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat !== '' && !/\) Z /.test(stat)
}

async function killAll(pids: number[]): Promise<void> {
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  await until(async () => (await Promise.all(pids.map(isAlive))).every((alive) => !alive))
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(10)
}
