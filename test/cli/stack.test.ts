import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createTestClient, http, publicActions, walletActions, zeroAddress } from 'viem'
import { anvil } from 'viem/chains'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { clearFolder, openFolder } from '../../cli/stack/folder.ts'
import { freePorts, portsFrom } from '../../cli/stack/ports.ts'
import { describeProcess, isRunning, reap } from '../../cli/stack/record.ts'
import { startStack } from '../../cli/stack/stack.ts'
import { createSupervisor } from '../../cli/stack/supervisor.ts'

// The parts of the supervisor, each on real processes.

let dataDir: string
const children: ChildProcess[] = []

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-stack-'))
})

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(dataDir, { recursive: true, force: true })
})

function sleeper(): ChildProcess {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  children.push(child)
  return child
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await sleep(20)
}

test('a taken port is named, and a base offered with which all four are free', async () => {
  const { chain: base } = await freePorts()
  const server = createServer()
  server.listen(base + 2, '127.0.0.1')
  await once(server, 'listening')
  try {
    const error = (await portsFrom(base).catch((caught: unknown) => caught)) as Error
    expect(error).toMatchObject({ code: 'PORT_TAKEN' })
    expect(error.message).toContain(`port ${base + 2} (analytics) is taken`)
    const offered = Number(/--port-base (\d+)$/.exec(error.message)?.[1])
    await expect(portsFrom(offered)).resolves.toMatchObject({ keeper: offered + 3 })
  } finally {
    server.close()
    await once(server, 'close')
  }
})

test('free ports are in a row, and not among those that systems give away', async () => {
  const ports = await freePorts()
  await expect(portsFrom(ports.chain)).resolves.toEqual(ports)
  expect(ports.keeper).toBeLessThan(32_768)
})

test('a folder with other things in it is not taken for a data folder', async () => {
  await writeFile(join(dataDir, 'thesis.txt'), 'years of work')
  await expect(openFolder(dataDir)).rejects.toMatchObject({
    code: 'NOT_A_DATA_FOLDER',
    message: `${dataDir} holds thesis.txt: choose an empty folder with --data`,
  })
  expect(await readdir(dataDir)).toEqual(['thesis.txt'])
})

test('beginning anew removes what the stack made and nothing else', async () => {
  const lock = await openFolder(dataDir)
  for (const name of ['chain', 'keeper', 'networks']) await mkdir(join(dataDir, name))
  for (const name of ['deployment.json', 'scenario.json', 'notes.txt'])
    await writeFile(join(dataDir, name), '{}')
  await clearFolder(dataDir)
  expect((await readdir(dataDir)).toSorted()).toEqual([
    'lock',
    'multiverse.json',
    'networks',
    'notes.txt',
  ])
  await expect(openFolder(dataDir)).rejects.toMatchObject({ code: 'LOCKED' })
  await lock.release()
  await (await openFolder(dataDir)).release()
})

test('ends what is left of an earlier run, and never a process that only has its number', async () => {
  const [left, stranger] = [sleeper(), sleeper()]
  const record = await describeProcess('left', left.pid!)
  const impostor = { ...(await describeProcess('impostor', stranger.pid!)), startedAt: '1' }
  const unknown = { ...(await describeProcess('unknown', stranger.pid!)), startedAt: null }
  expect(await reap([record, impostor, unknown])).toEqual([record])
  expect(await isRunning(record)).toBe(false)
  expect(stranger.exitCode ?? stranger.signalCode).toBeNull()
})

test('a process whose end nobody took note of has ended', async () => {
  // The shell becomes a program that never asks after its child.
  const parent = spawn('sh', ['-c', 'sleep 2 & exec sleep 60'], { stdio: 'ignore' })
  children.push(parent)
  await until(async () => (await childrenOf(parent.pid!)).length === 1)
  const [pid] = await childrenOf(parent.pid!)
  const record = await describeProcess('child', pid!)
  expect(await isRunning(record)).toBe(true)
  await until(async () => (await readFile(`/proc/${pid}/stat`, 'utf8')).includes(') Z '))
  expect(await isRunning(record)).toBe(false)
  expect(await reap([record])).toEqual([])
})

describe('a process that ends by itself', () => {
  const said: string[] = []
  const supervise = () =>
    createSupervisor({
      logsDir: join(dataDir, 'logs'),
      signal: new AbortController().signal,
      onChange: async () => {},
      say: (line) => said.push(line),
    })

  beforeEach(() => {
    said.length = 0
  })

  test('is not started again when its configuration is wrong, but named with its last words', async () => {
    const supervisor = supervise()
    await supervisor.start({
      name: 'keeper',
      entry: 'keeper/main.ts',
      env: { MULTIVERSE_RPC_URL: 'x' },
      restarts: 2,
    })
    await expect(supervisor.failure).rejects.toMatchObject({
      code: 'CHILD_DIED',
      message: expect.stringMatching(/^keeper ended with code 2: error CONFIG_INVALID: /) as string,
    })
    expect(said[0]).toMatch(/^keeper ended with code 2; the last lines of .*keeper\.log:$/)
    expect(said[1]).toMatch(/^ {2}error CONFIG_INVALID: /)
  })

  test('is started again a bounded number of times', async () => {
    const supervisor = supervise()
    // Without its port it ends at once.
    await supervisor.start({ name: 'chain', entry: 'cli/stack/chain.ts', env: {}, restarts: 2 })
    await expect(supervisor.failure).rejects.toMatchObject({
      code: 'CHILD_DIED',
      message: 'chain ended with code 1: error USAGE: MULTIVERSE_DATA and CHAIN_PORT must be set',
    })
    expect(
      said.filter((line) => line === 'chain ended with code 1: starting it again'),
    ).toHaveLength(2)
  })
})

test('a stack whose folder is taken away ends every process all the same', async () => {
  const controller = new AbortController()
  const stack = await startStack({
    dataDir,
    ports: freePorts,
    fresh: false,
    say: () => {},
    signal: controller.signal,
  })
  const { processes } = stack.record
  expect(processes.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['chain', 'chain.inner', 'indexer', 'keeper', 'analytics']),
  )
  await rm(dataDir, { recursive: true, force: true })
  await stack.stop()
  for (const each of processes) expect(await isRunning(each)).toBe(false)
})

test('the chain goes on where it was, over many restarts, and ends with its supervisor', async () => {
  const { chain: port } = await freePorts()
  const client = createTestClient({
    mode: 'anvil',
    chain: anvil,
    transport: http(`http://127.0.0.1:${port}`, { retryCount: 0 }),
    cacheTime: 0,
  })
    .extend(publicActions)
    .extend(walletActions)
  const startChain = async () => {
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('../../cli/stack/chain.ts', import.meta.url))],
      {
        env: {
          ...process.env,
          MULTIVERSE_DATA: dataDir,
          CHAIN_PORT: `${port}`,
          MULTIVERSE_SUPERVISED: '1',
        },
        stdio: ['pipe', 'inherit', 'inherit'],
      },
    )
    children.push(child)
    await until(() =>
      client.getChainId().then(
        () => true,
        () => false,
      ),
    )
    return child
  }
  const hashes = async () => {
    const head = await client.getBlockNumber()
    const blocks = Array.from({ length: Number(head) + 1 }, (_, index) => BigInt(index))
    return Promise.all(
      blocks.map(async (blockNumber) => (await client.getBlock({ blockNumber })).hash),
    )
  }
  let known: string[] = []
  let sent = 0
  for (let run = 0; run < 4; run++) {
    const child = await startChain()
    expect((await hashes()).slice(0, known.length)).toEqual(known)
    const [account] = await client.getAddresses()
    expect(await client.getTransactionCount({ address: account! })).toBe(sent)
    const hash = await client.sendTransaction({ account: account!, to: zeroAddress, value: 1n })
    await client.waitForTransactionReceipt({ hash, pollingInterval: 20 })
    sent++
    // A genesis block of a later second differs.
    await sleep(1100)
    known = await hashes()
    expect(await endByPipe(child)).toBe(0)
    await expect(client.getChainId()).rejects.toThrow('HTTP request failed')
    expect(existsSync(join(dataDir, 'chain/cache'))).toBe(false)
  }

  // Killed, it has lost no transaction that was mined a moment ago.
  const child = await startChain()
  const [account] = await client.getAddresses()
  const hash = await client.sendTransaction({ account: account!, to: zeroAddress, value: 1n })
  const { blockHash } = await client.waitForTransactionReceipt({ hash, pollingInterval: 20 })
  await until(async () =>
    (await readFile(join(dataDir, 'chain/state.json'), 'utf8')).includes(hash.slice(2)),
  )
  const anvils = await childrenOf(child.pid!)
  expect(anvils).toHaveLength(1)
  process.kill(anvils[0]!, 'SIGKILL')
  await once(child, 'exit')
  expect(child.exitCode).toBe(1)
  const again = await startChain()
  expect((await client.getTransactionReceipt({ hash })).blockHash).toBe(blockHash)
  expect(await endByPipe(again)).toBe(0)
})

/** Ends the process as a supervisor does that is gone, and gives the exit code. */
async function endByPipe(child: ChildProcess): Promise<number | null> {
  child.stdin?.end()
  await once(child, 'exit')
  return child.exitCode
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.trim().split(' ').filter(Boolean).map(Number)
}
