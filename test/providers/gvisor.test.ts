import { execFile, execFileSync, spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { detectGvisor } from '../../providers/gvisor/engine.ts'
import { createGvisorProvider } from '../../providers/gvisor/provider.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { scenarioSpec } from '../../providers/scenarios/scenario.ts'
import { describeWithEngine, findGvisor } from '../helpers/engines.ts'
import { failure } from './conformance.ts'
import { canMakeDisks, cutShort, flipByte, makeDisk } from './disk.ts'
import { costsIn, costsInQuickjs, SCENARIOS } from './verses.ts'

const run = promisify(execFile)
const fixture = fileURLToPath(new URL('fixtures/engine-process.ts', import.meta.url))
const CYCLES = process.env['DEEP'] === '1' ? 100 : 2

describe('finding gVisor', () => {
  it('says what is missing and how to get it', async () => {
    expect(await detectGvisor({ runsc: 'no-such-runsc' })).toEqual({
      available: false,
      reason: 'there is no no-such-runsc',
      install: 'apt-get install -y runsc',
    })
    const provider = createGvisorProvider({ runsc: '/no/such/runsc' })
    await expect(provider.init({ dataDir: '/no/such' })).rejects.toMatchObject({
      code: 'PROVIDER_FAILED',
      message: expect.stringContaining('apt-get install -y runsc'),
    })
  })

  it('does not take a program for gVisor that runs no container', async () => {
    expect(await detectGvisor({ runsc: '/bin/true' })).toMatchObject({
      available: false,
      reason: expect.stringMatching(/runs no container here \(systrap: .*; ptrace: .*\)/),
    })
  })
})

describeWithEngine('gvisor', await findGvisor(), () => {
  let dataDir: string
  let provider: WorldRuntimeProvider
  let shared: string

  const born = async () => (await provider.create({ seed: 5n })).id
  const value = async (id: string, code: string) => (await provider.execute(id, code)).value

  /** One world for the tests of a describe. */
  function shareWorld(): void {
    beforeAll(async () => {
      shared = await born()
      await provider.execute(shared, 'kept = 1')
    })
    afterAll(() => provider.destroy(shared))
  }

  async function rootAfter(...codes: string[]): Promise<string> {
    const id = await born()
    let root = ''
    for (const code of codes) root = (await provider.execute(id, code)).stateRoot
    await provider.destroy(id)
    return root
  }

  /** Runs `setup` in a new world, and then each of `programs` in a branch of its own. */
  async function inBranches(setup: string, programs: string[]): Promise<unknown[]> {
    const id = await born()
    await provider.execute(id, setup)
    const { id: snapshotId } = await provider.snapshot(id)
    await provider.destroy(id)
    const children = await provider.branch(snapshotId, programs.length)
    return Promise.all(children.map((child, i) => value(child.id, programs[i] ?? '')))
  }

  describe('worlds', () => {
    beforeAll(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'gvisor-'))
      provider = createGvisorProvider()
      // A fork bomb is to end at the number of processes, and each of those takes memory.
      await provider.init({ dataDir, limits: { memoryBytes: 1_073_741_824 } })
    })
    afterEach(async () => {
      const rest = (await provider.list()).filter(({ id }) => id !== shared)
      await Promise.all(rest.map(({ id }) => provider.destroy(id)))
    })
    afterAll(async () => {
      await provider.shutdown()
      await expectEmpty(dataDir)
    })

    describe('carry through a branch', () => {
      it('names, closures, objects and a generator in the middle of its loop', async () => {
        const setup = `
def counter():
    n = 40
    def bump():
        nonlocal n
        n += 1
        return n
    return bump
bump = counter()
class Purse:
    __slots__ = ('cents',)
    def __init__(self): self.cents = 7
    def spend(self, c): self.cents -= c; return self.cents
purse = Purse()
walk = (i * i for i in range(100))
[next(walk) for _ in range(3)]
ring = {'one': 1 << 100}; ring['self'] = ring`
        const programs = ['bump()', 'bump() + bump()', 'purse.spend(3)', 'next(walk)']
        expect(
          await inBranches(setup, [
            ...programs,
            'next(walk); next(walk)',
            "str(ring['self']['one'])",
          ]),
        ).toEqual([41, 83, 4, 9, 16, '1267650600228229401496703205376'])
      })

      it('files, a process in the middle of its work, and a thread', async () => {
        const setup = `
import subprocess, threading, time
open('/world/notes', 'w').write('before ')
counting = subprocess.Popen(['sh', '-c', 'i=0; while true; do i=$((i+1)); echo $i > /tmp/i.new; mv /tmp/i.new /tmp/i; sleep 0.01; done'])
ticks = []
def tick():
    while True:
        ticks.append(1)
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
def reached():
    time.sleep(0.2)
    return int(open('/tmp/i').read()), len(ticks)
start = reached()`
        expect(await inBranches(setup, [countOn('left'), countOn('right')])).toEqual([
          [true, 'before left'],
          [true, 'before right'],
        ])
      })

      it('the random stream, but never the entropy', async () => {
        const look = 'import os, random\n[random.random(), os.urandom(8).hex()]'
        const runs = (await inBranches('import random\nrandom.random()', [
          look,
          look,
        ])) as string[][]
        expect(runs[1]?.[0]).toBe(runs[0]?.[0])
        expect(runs[1]?.[1]).not.toBe(runs[0]?.[1])
      })
    })

    describe('run programs', () => {
      shareWorld()

      it.each([
        ['1 + 1', 2],
        ['', null],
        ['x = 1', null],
        [
          '(1, "\\u0000é\\ud800 😀", None, {"a": [True]})',
          [1, '\u0000é\ud800 😀', null, { a: [true] }],
        ],
        ['import asyncio\nasync def late():\n  await asyncio.sleep(0.01)\n  return 7\nlate()', 7],
        ['import sys\nsys.exit()', null],
        ['from dataclasses import dataclass\n@dataclass\nclass A:\n  x: int\nA(3).x', 3],
        ['open("own.py", "w").write("y = 4")\nimport own\nown.y', 4],
        ['import os\npid = os.fork()\nos.waitpid(pid, 0)[1] if pid else 0', 0],
        ['#!/bin/sh\necho \'{"cost": 2.5}\' >&3', { cost: 2.5 }],
        ['#!/bin/sh\ntrue | false | true', null],
        ['#!/usr/bin/env python3\n2', 2],
        ['#! /usr/bin/env sh\necho 2 >&3', 2],
      ])('%j gives its value', async (code, expected) => {
        expect(await value(shared, code)).toEqual(expected)
      })

      it.each([
        ['#!/usr/bin/env node\n1', 'INVALID_ARGUMENT', /does not speak the language of #!.*node$/],
        ['raise KeyError', 'PROGRAM_ERROR', /^KeyError$/],
        ['not ) python', 'PROGRAM_ERROR', /^SyntaxError: /],
        ['import sys\nsys.exit(3)', 'PROGRAM_ERROR', /^SystemExit: 3$/],
        ['import os\nos._exit(3)', 'PROGRAM_ERROR', /ended its interpreter, with 3/],
        ['import os\nos.kill(os.getpid(), 9)', 'PROGRAM_ERROR', /ended its interpreter, with -9/],
        ['class E(Exception):\n  def __str__(self): 1/0\nraise E', 'PROGRAM_ERROR', /^E$/],
        ['#!/bin/sh\nexit 3', 'PROGRAM_ERROR', /^sh: exited with 3$/],
        ['#!/bin/sh\nkill -9 $$', 'PROGRAM_ERROR', /^sh: was ended by signal 9$/],
        ['#!/bin/sh\necho {nonsense >&3', 'RESULT_INVALID', /not JSON/],
        [
          '#!/bin/sh\nhead -c 2000000 /dev/zero | tr "\\0" 1 >&3',
          'RESULT_INVALID',
          /2000000 bytes/,
        ],
      ])('%j is told', async (code, kind, message) => {
        await expect(value(shared, code)).rejects.toMatchObject({
          code: kind,
          message: expect.stringMatching(message),
        })
      })

      it('and tell what they wrote before they failed, and where', async () => {
        const code = 'def deep(): raise ValueError("bad")\nprint("so far")\ndeep()'
        await expect(value(shared, code)).rejects.toMatchObject({
          message: 'ValueError: bad',
          cause: { stdout: 'so far\n', stack: expect.stringContaining('<program>:1 in deep') },
        })
      })
    })

    it('play scenarios as QuickJS does', async () => {
      const expected = await costsInQuickjs(...SCENARIOS.map((each) => scenarioSpec(each)))
      for (const [i, each] of SCENARIOS.entries()) {
        const found = await costsIn(provider, scenarioSpec(each, { language: 'python' }))
        expect(found).toEqual(expected[i]!.map((cost) => expect.closeTo(cost, 9) as number))
      }
    })

    describe('that answer what they should not', () => {
      shareWorld()

      it.each([
        ['garbage', forge('b"garbage" * 20'), /answers with \d+ bytes/],
        ['nonsense', forge(`${head(8)} + b'nonsense'`), /answers nonsense/],
        ['half a failure', forge(`${head(8)} + b'failed{}'`), /answers nonsense/],
        ['no JSON', forge(`${head(5)} + b'done{'`), /not JSON/],
        ['half an answer, and end', `${forge("b'123'")}\nos._exit(0)`, /ended its interpreter/],
        ['nothing more', 'import os\nos.closerange(3, 64)', /closed its interpreter|ended its/],
      ])('%s', async (_, code, message) => {
        expect(String(await failure(provider.execute(shared, code)))).toMatch(message)
        expect(await value(shared, 'kept')).toBe(1)
      })

      it('half an answer, and nothing after that', async () => {
        const code = `${forge("b'123'")}\nimport time\ntime.sleep(60)`
        await expect(provider.execute(shared, code, { timeMs: 300 })).rejects.toMatchObject({
          code: 'EXECUTION_TIMEOUT',
        })
      })
    })

    describe('cannot get out', () => {
      it('to the files of the host', async () => {
        const secret = join(dataDir, 'secret')
        await writeFile(secret, 'treasure')
        const look = `
import os
def attempt(do):
    try: return do()
    except OSError as error: return type(error).__name__
[attempt(lambda: open(${JSON.stringify(secret)}).read()),
 attempt(lambda: open('/proc/1/root' + ${JSON.stringify(secret)}).read()),
 attempt(lambda: open('/etc/shadow').read()),
 attempt(lambda: open('/usr/bin/new', 'w')),
 attempt(lambda: os.chroot('/world')),
 attempt(lambda: os.setuid(0)),
 attempt(lambda: os.kill(1, 9)),
 attempt(lambda: os.mknod('/tmp/disk', 0o60666, 0x800) or open('/tmp/disk', 'rb').read(1)),
 os.getuid(), sorted(os.listdir('/'))]`
        const [own, root, shadow, write, chroot, setuid, kill, disk, uid, top] = (await value(
          await born(),
          look,
        )) as unknown[]
        expect([own, root]).not.toContain('treasure')
        expect(shadow).toBe('FileNotFoundError')
        expect(write).toMatch(/OSError|PermissionError/)
        expect(disk).toMatch(/OSError|PermissionError/)
        expect([chroot, setuid, kill]).toEqual(Array(3).fill('PermissionError'))
        expect(uid).toBe(1000)
        expect(top).toEqual(
          expect.arrayContaining(['bin', 'dev', 'etc', 'proc', 'tmp', 'usr', 'world']),
        )
        expect(top).not.toContain('root')
        expect(top).not.toContain('home')
      })

      it('to a network', async () => {
        const look = `
import socket
def attempt(address):
    try: return socket.create_connection(address, 2).getpeername()
    except OSError as error: return type(error).__name__
def resolve():
    try: return socket.gethostbyname('example.com')
    except OSError as error: return type(error).__name__
[attempt(('1.1.1.1', 53)), attempt(('169.254.169.254', 80)), resolve(), [name for _, name in socket.if_nameindex()]]`
        const [out, metadata, name, interfaces] = (await value(await born(), look)) as unknown[]
        expect([out, metadata]).toEqual(['OSError', 'OSError'])
        expect(name).toBe('gaierror')
        expect(interfaces).toEqual(['lo'])
      })

      it('by taking all processes, files, memory, disk or output', async () => {
        const ids = await Promise.all(Array.from({ length: 4 }, () => born()))
        const [one = '', two = '', three = '', four = ''] = ids
        await Promise.all(ids.map((id) => provider.execute(id, 'kept = 1')))
        const forks = `
import os, time
while True:
    if os.fork() == 0:
        try:
            while True: os.fork()
        except OSError: time.sleep(60)`
        const fds = `
held = []
def take():
    try:
        while True: held.append(open('/dev/null'))
    except OSError as error: return [len(held) < 300, error.errno]
take()`
        const small = { memoryBytes: 67_108_864 }
        const many = `
import os
for _ in range(20):
    if os.fork() == 0:
        hoard = bytearray(b'1') * 30_000_000
        while True: pass
while True: pass`
        const disk = `
with open('/world/fill', 'wb') as file:
    while True: file.write(bytes(1_000_000))`
        const flood = '#!/bin/sh\nyes & a=$!; yes >&2 & sleep 0.3; kill $a $!'
        const [forked, opened, memory, written, flooded] = await Promise.all([
          failure(provider.execute(one, forks)),
          value(two, fds),
          failure(provider.execute(three, many, small)),
          failure(provider.execute(four, disk, small)),
          provider.execute(two, flood),
        ])
        expect(String(forked)).toMatch(/BlockingIOError/)
        expect(opened).toEqual([true, 24])
        expect(memory).toMatchObject({ code: 'OUT_OF_MEMORY' })
        expect(written).toMatchObject({ code: 'OUT_OF_MEMORY' })
        expect(flooded.stdout.length).toBe(65_536)
        expect(flooded.stderr.length).toBe(65_536)
        expect(await Promise.all(ids.map((id) => value(id, 'kept')))).toEqual([1, 1, 1, 1])
      })

      it('by running when no one waits', async () => {
        const id = await born()
        const count = '#!/bin/sh\n(i=0; while :; do i=$((i+1)); echo $i > /tmp/i; done) 2>&- &'
        await provider.execute(id, count)
        const look = `
import time
def reached():
    while not (text := open('/tmp/i').read().strip()): pass
    return int(text)
begun = reached()
time.sleep(0.2)
[begun, reached()]`
        const [begun = 0, ended = 0] = (await value(id, look)) as number[]
        await sleep(600)
        const [again = 0] = (await value(id, look)) as number[]
        expect(ended).toBeGreaterThan(begun)
        expect(again - ended).toBeLessThan(ended - begun)
      })
    })

    describe('have their time', () => {
      shareWorld()

      it.each([
        'while True: pass',
        'while True:\n  try:\n    while True: pass\n  except BaseException: pass',
        '9 ** 9 ** 9',
        'import signal\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n  except (OSError, ValueError): pass\nsignal.pause()',
        'import re\nre.match("(a+)+b", "a" * 40)',
        'class E(Exception):\n  def __str__(self):\n    while True: pass\nraise E',
        '#!/bin/sh\nwhile true; do :; done',
        '#!/bin/sh\ntrap "" INT TERM; sleep 100',
      ])('%j is ended', async (code) => {
        const begun = performance.now()
        await expect(provider.execute(shared, code, { timeMs: 200 })).rejects.toMatchObject({
          code: 'EXECUTION_TIMEOUT',
        })
        expect(performance.now() - begun).toBeLessThan(5_000)
        expect(await value(shared, 'kept')).toBe(1)
      })
    })

    describe('that fail', () => {
      it('are brought back with their files, and with what a failed run left running gone', async () => {
        const id = await born()
        await provider.execute(id, 'open("/world/log", "w").write("one"); x = [1]')
        const { stateRoot } = await provider.execute(
          id,
          'x.append(2); open("/tmp/two", "w").close()',
        )
        const bad = `
import os, subprocess
x.append(3)
open('/world/log', 'a').write('two'); os.remove('/tmp/two')
subprocess.Popen(['sleep', '100'])
raise ValueError`
        await expect(provider.execute(id, bad)).rejects.toMatchObject({ code: 'PROGRAM_ERROR' })
        const look = `
import os
x, open('/world/log').read(), os.listdir('/tmp'), [p for p in os.listdir('/proc') if p.isdigit()]`
        expect(await value(id, look)).toEqual([[1, 2], 'one', ['two'], ['1', '2']])
        expect((await provider.snapshot(id)).stateRoot).not.toBe(stateRoot)
      })

      it('are brought back with processes that cannot be told', async () => {
        const id = await born()
        const start = `
import subprocess
oracle = subprocess.Popen(['sh', '-c', 'secret=$(head -c 8 /dev/urandom | base64); while read line; do echo $secret; done'],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
def ask():
    oracle.stdin.write('\\n')
    return oracle.stdout.readline().strip()
ask()`
        const secret = await value(id, start)
        await expect(provider.execute(id, 'oracle.kill(); 1/0')).rejects.toMatchObject({
          code: 'PROGRAM_ERROR',
        })
        expect(await value(id, 'ask()')).toBe(secret)
      })

      it('because their container is killed are brought back', async () => {
        const id = await born()
        await provider.execute(id, 'x = 41')
        const running = failure(provider.execute(id, 'import time\ntime.sleep(60)'))
        process.kill(await sandboxOf(dataDir), 'SIGKILL')
        expect(await running).toMatchObject({ code: 'PROVIDER_FAILED', isRetryable: true })
        expect(await value(id, 'x + 1')).toBe(42)
        process.kill(await sandboxOf(dataDir), 'SIGKILL')
        // Without a pause in which Node would be told of it.
        for (let looks = 0; looks < 1_000 && processesNaming(dataDir).length > 0; looks++);
        expect(processesNaming(dataDir)).toEqual([])
        expect(await value(id, 'x + 2')).toBe(43)
      })

      it('and do not repeat themselves are ended, and say so', async () => {
        const id = await born()
        await provider.execute(id, 'import time\nborn = time.time_ns()')
        await expect(provider.execute(id, 'born = 0; 1/0')).rejects.toMatchObject({
          code: 'PROGRAM_ERROR',
        })
        await expect(value(id, 'born')).rejects.toMatchObject({
          code: 'PROVIDER_FAILED',
          message: expect.stringMatching(/cannot be brought back, as its programs do not repeat/),
        })
        expect(await provider.list()).toEqual([])
      })
    })

    describe('have a state root', () => {
      it('of all that a program can look at', async () => {
        const nothing = await rootAfter('')
        const groups: [string[], string[]][] = [
          [['x = [1, 2]'], ['x = [1]', 'x.append(2)']],
          [['f = lambda: 1'], ['f = lambda: 2']],
          [['g = iter([1, 2])'], ['g = iter([1, 2])', 'next(g)']],
          [
            ['def w():\n  yield 1\n  yield 2\ng = w()'],
            ['def w():\n  yield 1\n  yield 2\ng = w()', 'next(g)'],
          ],
          [['class A: pass\na = A()'], ['class A: pass\na = A()', 'a.x = 1']],
          [['open("a", "w").write("1")'], ['open("a", "w").write("2")']],
          [['#!/bin/sh\nmkdir d'], ['#!/bin/sh\nmkdir -m 700 d']],
          [['import random\nrandom.random()'], ['import random\nrandom.random()\nrandom.random()']],
          [['import os\nos.environ["A"] = "1"'], ['import os\nos.chdir("/tmp")']],
          // An open file does not tell: the past stands for it.
          [['f = open("/dev/null")'], ['f = open("/dev/null") # again']],
          [['s = {"b", "a"}'], ['s = {"a"}', 's.add("b")']],
        ]
        const roots = await Promise.all(
          groups.map(async ([one, other]) => [await rootAfter(...one), await rootAfter(...other)]),
        )
        for (const [i, [one, other]] of roots.entries()) {
          expect(one).not.toBe(nothing)
          // The first and last of each come to the same, the others do not.
          expect(one === other).toBe(i === 0 || i === groups.length - 1)
        }
      })
    })

    it(`leave nothing behind after ${CYCLES} rounds`, { timeout: CYCLES * 30_000 }, async () => {
      const memory: number[] = []
      const before = await readdir(join(dataDir, 'snapshots'))
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        const id = await born()
        const { id: snapshotId } = await provider.snapshot(id)
        const children = await provider.branch(snapshotId, 2)
        await Promise.all(children.map((child) => value(child.id, 'x = 1')))
        await provider.execute(id, '1')
        for (const { id } of await provider.list()) await provider.destroy(id)
        await provider.forget(snapshotId)
        memory.push(process.memoryUsage().rss)
      }
      expect(processesNaming(dataDir)).toEqual([])
      const [session = ''] = await readdir(join(dataDir, 'sessions'))
      const left = await readdir(join(dataDir, 'sessions', session))
      expect(left.filter((name) => !name.startsWith('bundle-'))).toEqual(['owner.json', 'state'])
      expect(await readdir(join(dataDir, 'sessions', session, 'state'))).toEqual([])
      expect(await readdir(join(dataDir, 'snapshots'))).toEqual(before)
      // The first rounds fill what is kept for good.
      const settled = memory[Math.min(9, CYCLES - 1)] ?? 0
      expect((memory.at(-1) ?? 0) - settled).toBeLessThan(67_108_864)
    })
  })

  describe('on the disk', () => {
    beforeEach(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'gvisor-'))
      provider = createGvisorProvider()
      await provider.init({ dataDir })
    })
    afterEach(async () => {
      await provider.shutdown()
      await expectEmpty(dataDir)
    })

    it('a snapshot is branched by another process', async () => {
      const id = await born()
      await provider.execute(id, 'x = [1]')
      const { id: snapshotId } = await provider.snapshot(id)
      const here = await provider.execute(id, 'x.append(2); x')
      const { stdout } = await run(process.execPath, [
        fixture,
        'gvisor',
        dataDir,
        'x.append(2); x',
        snapshotId,
      ])
      expect(JSON.parse(stdout)).toEqual({ value: [1, 2], stateRoot: here.stateRoot })
    })

    it('a corrupt snapshot is named and not used, and can be made again', async () => {
      const id = await born()
      await provider.execute(id, 'x = 1')
      const { id: snapshotId } = await provider.snapshot(id)
      const folder = join(dataDir, 'snapshots', snapshotId)
      const [flip, cut] = [flipByte, cutShort].map(
        (change) => (each: string) => replace(each, change),
      )
      for (const spoil of [flip!, cut!, removeFile, emptyAbout]) {
        await spoil(folder)
        await expect(provider.branch(snapshotId, 2)).rejects.toMatchObject({
          code: 'SNAPSHOT_CORRUPT',
          message: expect.stringContaining(snapshotId),
        })
        await expect(provider.branch(snapshotId, 2)).rejects.toMatchObject({
          code: 'UNKNOWN_SNAPSHOT',
        })
        expect(await provider.list()).toHaveLength(1)
        expect((await provider.snapshot(id)).id).toBe(snapshotId)
        expect(await provider.branch(snapshotId, 0)).toEqual([])
      }
      const [child] = await provider.branch(snapshotId, 1)
      expect(await value(child?.id ?? '', 'x')).toBe(1)
    })

    it('a snapshot of another engine is not restored', async () => {
      const { id: snapshotId } = await provider.snapshot(await born())
      const about = join(dataDir, 'snapshots', snapshotId, 'image.json')
      const text = await readFile(about, 'utf8')
      await writeFile(about, text.replace(/"engine":"[^"]*"/, '"engine":"runsc of old"'))
      await expect(provider.branch(snapshotId, 1)).rejects.toMatchObject({
        code: 'UNKNOWN_SNAPSHOT',
        message: expect.stringContaining('runsc of old'),
      })
      expect(await provider.list()).toHaveLength(1)
    })

    it('what a killed process left is cleared away', async () => {
      const child = spawn(process.execPath, [fixture, 'gvisor', dataDir, 'while True: pass'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = new Promise((resolve) => child.on('close', resolve))
      await new Promise((resolve) => child.stdout.once('data', resolve))
      expect(await readdir(join(dataDir, 'sessions'))).toHaveLength(2)
      child.kill('SIGKILL')
      await closed
      const other = createGvisorProvider()
      await other.init({ dataDir })
      const sessions = await readdir(join(dataDir, 'sessions'))
      expect(sessions).toHaveLength(2)
      // Whose owner lives is left alone.
      const id = await born()
      expect(await value(id, '1')).toBe(1)
      await other.shutdown()
      expect(await readdir(join(dataDir, 'sessions'))).toHaveLength(1)
      expect(await value(id, '2')).toBe(2)
    })
  })

  it.skipIf(!canMakeDisks)(
    'a full disk fails what needs room, by name, and costs the world nothing',
    async () => {
      const { folder: disk, fill, empty, remove } = await makeDisk(16)
      const provider = createGvisorProvider()
      try {
        await provider.init({ dataDir: disk })
        const { id } = await provider.create({ seed: 1n })
        await provider.execute(id, 'x = 1')
        await fill()
        const full = {
          code: 'DISK_FULL',
          message: expect.stringContaining(`the disk is full: no room for ${disk}`),
          isRetryable: true,
        }
        await expect(provider.snapshot(id)).rejects.toMatchObject(full)
        expect(await readdir(join(disk, 'snapshots'))).toEqual([])
        await expect(provider.create({ seed: 2n })).rejects.toMatchObject(full)
        await empty()
        expect((await provider.execute(id, 'x + 1')).value).toBe(2)
        const { id: snapshotId } = await provider.snapshot(id)
        await fill()
        // What takes no bytes of files takes some for the folder's own.
        await expect(provider.branch(snapshotId, 1)).rejects.toMatchObject(full)
        expect(await provider.list()).toHaveLength(1)
        await empty()
        expect(await provider.branch(snapshotId, 1)).toHaveLength(1)
      } finally {
        await provider.shutdown()
        await remove()
      }
    },
  )
})

/** A program that writes to its interpreter's own channel: the descriptors are there to be found. */
function forge(bytes: string): string {
  return `
import os
for name in os.listdir('/proc/self/fd'):
    if int(name) > 2:
        try: os.write(int(name), ${bytes})
        except OSError: pass`
}

/** What stands before an interpreter's answer. */
function head(length: number): string {
  return `(${length}).to_bytes(4, 'big') + b'0' * 64 + b'w'`
}

function countOn(word: string): string {
  return `
open('/world/notes', 'a').write('${word}')
# On a busy machine it takes its time.
for _ in range(40):
    now = reached()
    if now[0] > start[0] and now[1] > start[1]: break
now[0] > start[0] and now[1] > start[1] and counting.poll() is None, open('/world/notes').read()`
}

async function expectEmpty(dataDir: string): Promise<void> {
  expect(processesNaming(dataDir)).toEqual([])
  expect(await readdir(join(dataDir, 'sessions'))).toEqual([])
  await rm(dataDir, { recursive: true })
}

/** Those that run: a child that has ended, and that Node has not looked after yet, is none. */
function processesNaming(folder: string): string[] {
  return execFileSync('ps', ['-eo', 'stat,pid,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(`${folder}/sessions`) && !line.startsWith('Z'))
}

/** The one sandbox that runs now. */
async function sandboxOf(folder: string): Promise<number> {
  const [session = ''] = await readdir(join(folder, 'sessions'))
  const state = join(folder, 'sessions', session, 'state')
  const [name = ''] = (await readdir(state)).filter((each) => each.endsWith('.state'))
  const { sandbox } = JSON.parse(await readFile(join(state, name), 'utf8')) as {
    sandbox: { pid: number }
  }
  return sandbox.pid
}

/** Writes in the place of a file, so that other names of it keep what they had. */
async function replace(folder: string, change: (content: Buffer) => Buffer): Promise<void> {
  const path = join(folder, 'checkpoint.img')
  const content = await readFile(path)
  await writeFile(`${path}.new`, change(content))
  await rename(`${path}.new`, path)
}

function removeFile(folder: string): Promise<void> {
  return rm(join(folder, 'checkpoint.img'))
}

function emptyAbout(folder: string): Promise<void> {
  return writeFile(join(folder, 'image.json'), '{')
}
