import { execFile, spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { detectMicrovm } from '../../providers/microvm/detect.ts'
import { createMicrovmProvider } from '../../providers/microvm/provider.ts'
import { holdTemplate } from '../../providers/microvm/template.ts'
import { EPOCH_MS } from '../../providers/microvm/worlds.ts'
import type { Output, WorldRuntimeProvider } from '../../providers/provider.ts'
import { type Language, type Scenario, scenarioSpec } from '../../providers/scenarios/scenario.ts'
import { describeWithEngine, findMicrovm } from '../helpers/engines.ts'
import { failure } from './conformance.ts'
import { canMakeDisks, cutShort, flipByte, makeDisk } from './disk.ts'
import { costsIn, costsInQuickjs, SCENARIOS } from './verses.ts'

const run = promisify(execFile)
const fixture = fileURLToPath(new URL('fixtures/engine-process.ts', import.meta.url))
const isDeep = process.env['DEEP'] === '1'
const CYCLES = isDeep ? 50 : 3
/** On a machine that does a lot at once, what ends takes its time. */
const PATIENCE = { timeout: 30_000 }
const PYTHON = '#!/usr/bin/env python3\n'
const SHELL = '#!/bin/sh\n'

/** What a world that was looked at with `word` in mind must show. */
const seen = (word: string) => [
  `got ${word}`,
  [41, 4],
  [4, 9, `parent ${word}`, `parent ${word}`, true, true],
]

/** A program that writes to the host's channel: the descriptor is there to be found. */
const forge = (bytes: string) => `${PYTHON}import os, time\nos.write(201, ${bytes})\n`

describe('finding an engine for microVMs', () => {
  it('says what is missing and how to get it', async () => {
    const nothing = { qemu: 'no-such-qemu', firecracker: ['no-such-firecracker'] as const }
    expect(await detectMicrovm(nothing)).toMatchObject({
      available: false,
      reason: expect.stringMatching(/no-such-firecracker.*no-such-qemu/),
      install: expect.stringContaining(
        'apt-get install -y --no-install-recommends qemu-system-x86',
      ),
    })
    const provider = createMicrovmProvider(nothing)
    await expect(provider.init({ dataDir: '/no/such' })).rejects.toMatchObject({
      code: 'PROVIDER_FAILED',
      message: expect.stringContaining('qemu-system-x86'),
    })
  })

  it('does not take a program for QEMU that is none', async () => {
    expect(await detectMicrovm({ engine: 'qemu', qemu: '/bin/true' })).toMatchObject({
      available: false,
      reason: expect.stringContaining('/bin/true'),
    })
  })
})

it('what booted a template leaves its sockets behind when a data folder takes hold of it', async () => {
  const place = await mkdtemp(join(tmpdir(), 'template-'))
  const server = createServer()
  try {
    const folder = join(place, 'template')
    await mkdir(folder)
    await writeFile(join(folder, 'memory'), 'pages')
    server.listen(join(folder, 'agent.sock'))
    await once(server, 'listening')
    const about = { engine: 'any', guest: 'any', bootMs: 1 }
    const held = await holdTemplate({ ...about, id: 'id', folder }, join(place, 'data'))
    expect(await readdir(held.folder)).toEqual(['memory'])
    expect(await readFile(join(held.folder, 'memory'), 'utf8')).toBe('pages')
  } finally {
    server.close()
    await rm(place, { recursive: true })
  }
})

describeWithEngine('microvm', await findMicrovm(), () => {
  let dataDir: string
  let provider: WorldRuntimeProvider

  const born = async (seed = 5n) => (await provider.create({ seed })).id
  const value = async (id: string, code: string) => (await provider.execute(id, code)).value
  const py = (id: string, code: string) => value(id, PYTHON + code)
  const sh = (id: string, code: string) => value(id, SHELL + code)

  const start = async (options: Parameters<typeof createMicrovmProvider>[0] = {}) => {
    dataDir = await mkdtemp(join(tmpdir(), 'microvm-'))
    provider = createMicrovmProvider(options)
    // What is slow on a machine that does a lot at once is no failure here.
    await provider.init({ dataDir, limits: { timeMs: 60_000 } })
  }
  const clear = async () => {
    for (const { id } of await provider.list()) await provider.destroy(id)
  }
  const stop = async () => {
    await provider.shutdown()
    await rm(dataDir, { recursive: true })
  }
  /** Branches a world and gives the ids. */
  const branch = async (id: string, count: number) => {
    const { id: snapshotId } = await provider.snapshot(id)
    return (await provider.branch(snapshotId, count)).map((child) => child.id)
  }

  describe('worlds', () => {
    beforeAll(() => start({ spares: 1 }))
    afterEach(clear)
    afterAll(stop)

    it('say who runs them, and how fast', () => {
      const { isolation, languages, deterministic } = provider.capabilities()
      expect(isolation).toMatch(/^microvm \((qemu|firecracker), (emulated|virtualised) by \w+\)$/)
      expect(languages).toEqual(['javascript', 'python', 'sh'])
      expect(deterministic).toBe(false)
    })

    it('carry everything through a branch, and a branch of a branch', async () => {
      const id = await born()
      await value(
        id,
        `const bump = (() => { let n = 40; return () => ++n })()
         const walk = (function* () { for (let i = 0; ; i++) yield i * i })()
         walk.next(); walk.next()
         let settle; const told = new Promise((resolve) => { settle = resolve }).then((x) => 'got ' + x)
         null`,
      )
      await py(
        id,
        `
class Purse:
    def __init__(self): self.cents = 7
    def spend(self, c): self.cents -= c; return self.cents
purse = Purse()
squares = (i * i for i in range(100))
[next(squares) for _ in range(3)]
open('notes', 'w').write('parent ')
open('/tmp/draft', 'w').write('parent ')
import threading, time
ticks = []
def tick():
    while True:
        ticks.append(1)
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()`,
      )
      // A process in the middle of its work.
      await sh(
        id,
        'i=0; (while true; do i=$((i+1)); echo $i >/tmp/i.new; mv /tmp/i.new /tmp/i; done) &',
      )
      const look = async (child: string, word: string) => [
        await value(child, `settle('${word}'); told`),
        await value(child, '[bump(), walk.next().value]'),
        await py(
          child,
          `
for name in ('notes', '/tmp/draft'): open(name, 'a').write('${word}')
def reached(): return int(open('/tmp/i').read()), len(ticks)
before = reached()
time.sleep(0.3)
after = reached()
[purse.spend(3), next(squares), open('notes').read(), open('/tmp/draft').read(), after[0] > before[0], after[1] > before[1]]`,
        ),
      ]
      const [left, right, third] = await branch(id, 3)
      await provider.destroy(id)
      expect(await Promise.all([look(left!, 'left'), look(right!, 'right')])).toEqual([
        seen('left'),
        seen('right'),
      ])
      const [deeper] = await branch(third!, 1)
      await provider.destroy(third!)
      expect(await look(deeper!, 'deeper')).toEqual(seen('deeper'))
      const [deepest] = await branch(left!, 1)
      expect(await value(deepest!, '[bump(), walk.next().value]')).toEqual([42, 9])
      expect(await py(deepest!, 'purse.spend(1), open("notes").read()')).toEqual([3, 'parent left'])
    })

    it('give every sibling entropy and a clock of its own', async () => {
      const id = await born()
      const draw = async (child: string) => [
        await value(child, 'Math.random()'),
        ...((await py(
          child,
          'import os, random, time\n[random.random(), os.urandom(8).hex()]',
        )) as []),
        (await provider.execute(child, `${SHELL}head -c 8 /dev/urandom | od -x`)).stdout,
      ]
      await draw(id)
      const [one, two] = await branch(id, 2)
      const draws = await Promise.all([draw(id), draw(one!), draw(two!)])
      expect(new Set(draws.flat()).size).toBe(draws.flat().length)
      const now = ((await py(one!, 'time.time()')) as number) * 1_000
      expect(Math.abs(Date.now() - now)).toBeLessThan(5_000)
      expect(Math.abs(Date.now() - ((await value(one!, 'Date.now()')) as number))).toBeLessThan(
        5_000,
      )
    })

    it('stand still between runs', async () => {
      const id = await born()
      await sh(id, 'i=0; (while true; do i=$((i+1)); echo $i >/tmp/i; done) &')
      await sh(id, 'sleep 0.1')
      const { id: before } = await provider.snapshot(id)
      await new Promise((resolve) => setTimeout(resolve, 200))
      await provider.forget(before)
      expect((await provider.snapshot(id)).id).toBe(before)
      const [pid] = await machinesIn(dataDir)
      const ticks = await cpuTicks(pid!)
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect((await cpuTicks(pid!)) - ticks).toBeLessThan(10)
    })

    describe('run programs', () => {
      let id: string
      beforeEach(async () => {
        id = await born()
      })

      it('of three languages', async () => {
        const cases: [string, unknown][] = [
          ['', null],
          ['({ a: [1, "x", true, null], b: undefined })', { a: [1, 'x', true, null] }],
          ['"\\u0000é\\ud800 😀"', '\u0000é\ud800 😀'],
          [
            '(async () => { for (let i = 0; i < 100; i++) await i; return { cost: 2.5 } })()',
            { cost: 2.5 },
          ],
          ['new Date(2024, 6, 1).toISOString()', '2024-07-01T00:00:00.000Z'],
          ['typeof quit + typeof os + typeof readline', 'undefinedundefinedundefined'],
          ['#!/usr/bin/env node\n1 + 1', 2],
          [PYTHON, null],
          [`${PYTHON}x = 1`, null],
          [
            `${PYTHON}(1, "\\u0000é\\ud800 😀", None, {"a": [True]})`,
            [1, '\u0000é\ud800 😀', null, { a: [true] }],
          ],
          [
            `${PYTHON}import asyncio\nasync def late():\n  await asyncio.sleep(0.01)\n  return 7\nlate()`,
            7,
          ],
          [`${PYTHON}import sys\nsys.exit()`, null],
          [`${PYTHON}from dataclasses import dataclass\n@dataclass\nclass A:\n  x: int\nA(3).x`, 3],
          [`${PYTHON}open("own.py", "w").write("y = 4")\nimport own\nown.y`, 4],
          [`${SHELL}echo '{"cost": 2.5}' >&3`, { cost: 2.5 }],
          [`${SHELL}true | false | true`, null],
        ]
        for (const [code, expected] of cases) expect(await value(id, code)).toEqual(expected)
        await expect(value(id, '#!/usr/bin/perl\n1')).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          message: expect.stringContaining('/usr/bin/perl'),
        })
      })

      it.each([
        ['throw null', 'PROGRAM_ERROR', /null/],
        ['Promise.reject(new RangeError("no"))', 'PROGRAM_ERROR', /RangeError: no/],
        ['not javascript', 'PROGRAM_ERROR', /SyntaxError/],
        ['import("fs")', 'PROGRAM_ERROR', /./],
        [`${PYTHON}raise KeyError`, 'PROGRAM_ERROR', /KeyError/],
        [`${PYTHON}not python`, 'PROGRAM_ERROR', /NameError|SyntaxError/],
        [`${PYTHON}import sys\nsys.exit(3)`, 'PROGRAM_ERROR', /SystemExit: 3/],
        [`${PYTHON}import os\nos._exit(3)`, 'PROGRAM_ERROR', /python interpreter ended/],
        [`${PYTHON}class E(Exception):\n  def __str__(self): 1/0\nraise E`, 'PROGRAM_ERROR', /E: /],
        [`${SHELL}exit 3`, 'PROGRAM_ERROR', /sh: exit code 3/],
        [`${SHELL}kill -9 $$`, 'PROGRAM_ERROR', /sh: signal 9/],
        [`${SHELL}echo {nonsense >&3`, 'RESULT_INVALID', /not JSON/],
        [`${SHELL}head -c 2000000 /dev/zero | tr "\\0" 1 >&3`, 'RESULT_INVALID', /bytes of JSON/],
      ])('%j is told', async (code, kind, message) => {
        await expect(value(id, code)).rejects.toMatchObject({
          code: kind,
          message: expect.stringMatching(message),
        })
      })

      it('and tell where they failed, and what they wrote before', async () => {
        await expect(
          value(id, 'console.log("so far"); (function deep() { throw new Error("bad") })()'),
        ).rejects.toMatchObject({
          cause: {
            stdout: 'so far\n',
            stack: expect.stringMatching(/^deep@world.js:1:\d+\n@world/),
          },
        })
        await expect(
          py(id, 'def deep(): raise ValueError("bad")\nprint("so far")\ndeep()'),
        ).rejects.toMatchObject({
          cause: { stdout: 'so far\n', stack: expect.stringContaining('line 2, in deep') },
        })
        expect(
          await provider.execute(
            id,
            `${PYTHON}import os\nprint("own")\nos.system("echo child; echo bad >&2")`,
          ),
        ).toMatchObject({ value: 0, stdout: 'own\nchild\n', stderr: 'bad\n' })
      })

      it.each([
        `${PYTHON}import time\nprint('é', 1)\ntime.sleep(60)`,
        `${PYTHON}import time\nprint('é 1\\n', end='', flush=True)\ntime.sleep(60)`,
        `${SHELL}echo é 1; sleep 60`,
      ])('%j is heard while it runs', async (code) => {
        const { signal, abort } = controlled()
        const heard: Output[] = []
        const onOutput = (output: Output) => {
          heard.push(output)
          abort()
        }
        await expect(provider.execute(id, code, { signal, onOutput })).rejects.toMatchObject({
          code: 'ABORTED',
        })
        expect(heard).toEqual([{ stream: 'stdout', text: 'é 1\n' }])
      })

      it('that write a flood from threads are heard as they are kept', async () => {
        const code = `${PYTHON}import threading
def flood():
    while True: print('x' * 50)
for _ in range(3): threading.Thread(target=flood, daemon=True).start()
import time
time.sleep(0.2)`
        let heard = ''
        const onOutput = ({ text }: Output) => void (heard += text)
        const { stdout } = await provider.execute(id, code, { onOutput })
        expect(heard).toBe(stdout)
        expect(stdout.length).toBeGreaterThan(1_000)
      })

      it.each([
        '(async () => { for (;;) await 0 })()',
        '/(a+)+b/.test("a".repeat(50))',
        'try { for (;;) {} } catch {} finally { for (;;) {} }',
        `${PYTHON}while True:\n  try:\n    while True: pass\n  except BaseException: pass`,
        `${PYTHON}import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\ntime.sleep(60)`,
        `${SHELL}sleep 60`,
      ])('%j is stopped', async (code) => {
        await expect(provider.execute(id, code, { timeMs: 150 })).rejects.toMatchObject({
          code: 'EXECUTION_TIMEOUT',
        })
      })
    })

    describe('that fail are as they were', () => {
      it('with names, files and processes', async () => {
        const id = await born()
        await py(id, 'import os, subprocess\nx = [1]\nopen("log", "w").write("one")')
        const { stateRoot } = await provider.execute(id, `${PYTHON}x.append(2)`)
        const processes = await py(id, '[p for p in os.listdir("/proc") if p.isdigit()]')
        const { stateRoot: after } = await provider.snapshot(id)
        const bad = `
x.append(3); open('log', 'a').write('two'); open('/tmp/three', 'w')
subprocess.Popen(['sleep', '100'])
raise ValueError`
        await expect(py(id, bad)).rejects.toMatchObject({ code: 'PROGRAM_ERROR' })
        expect(await py(id, 'x, open("log").read(), os.listdir("/tmp")')).toEqual([
          [1, 2],
          'one',
          [],
        ])
        expect(await py(id, '[p for p in os.listdir("/proc") if p.isdigit()]')).toEqual(processes)
        expect(after).not.toBe(stateRoot)
      })

      it('when their machine dies under them', async () => {
        const id = await born()
        await value(id, 'var n = 41')
        const running = failure(provider.execute(id, 'for (;;) {}'))
        // A sibling without a program does not use its processor.
        process.kill(await busiest(dataDir), 'SIGKILL')
        expect(await running).toMatchObject({ code: 'PROVIDER_FAILED', isRetryable: true })
        expect(await value(id, 'n + 1')).toBe(42)
      })

      it('or are ended by name, when it dies with a state that nobody has', async () => {
        const id = await born()
        await value(id, 'var n = 41')
        await provider.snapshot(id)
        for (const pid of await machinesIn(dataDir)) await end(pid)
        // There is an image of this state.
        expect(await value(id, 'n += 1')).toBe(42)
        for (const pid of await machinesIn(dataDir)) await end(pid)
        await expect(value(id, 'n')).rejects.toMatchObject({
          code: 'PROVIDER_FAILED',
          message: expect.stringContaining(id),
        })
        await expect(value(id, 'n')).rejects.toMatchObject({ code: 'UNKNOWN_INSTANCE' })
        expect(await provider.list()).toEqual([])
      })
    })

    describe('that answer what they should not', () => {
      it.each([
        ['garbage', forge(`b'garbage\\n'`), /speaks no JSON/],
        ['nonsense', forge(`b'{"answer": 42}\\n'`), /the guest says/],
        [
          'a failure of no kind',
          forge(`b'{"error": {"code": "FUN", "message": "x"}}\\n'`),
          /guest says/,
        ],
        ['numbers for text', forge(`b'{"json": "1", "stdout": 5}\\n'`), /the guest says/],
        [
          'no end of a line',
          `${forge(`b'x'`)}while True: os.write(201, b'x' * 65536)`,
          /more than/,
        ],
        ['a stream of no kind', forge(`b'{"stream": 5, "text": "x"}\\n'`), /the guest says/],
        ['another value', forge(`b'{"json": "nonsense"}\\n'`), /not JSON/],
        ['half an answer, and death', `${forge(`b'{"json'`)}os._exit(0)`, /speaks no JSON/],
      ])('%s', async (_, code, message) => {
        const id = await born()
        await py(id, 'kept = 1')
        expect(String(await failure(provider.execute(id, code)))).toMatch(message)
        expect(await py(id, 'kept')).toBe(1)
      })

      it('a flood of output that nobody asked for', async () => {
        const id = await born()
        await py(id, 'kept = 1')
        const code = `${forge(`b''`)}while True: os.write(201, b'{"stream": "stdout", "text": "x"}\\n')`
        const heard: Output[] = []
        await expect(
          provider.execute(id, code, { timeMs: 400, onOutput: (each) => void heard.push(each) }),
        ).rejects.toMatchObject({ code: 'EXECUTION_TIMEOUT' })
        // What is heard has the same bound as what is kept, and nothing is heard of a run that is over.
        expect(heard.length).toBeLessThanOrEqual(65_536)
        const { length } = heard
        expect(await py(id, 'kept')).toBe(1)
        expect(heard).toHaveLength(length)
      })

      it('half an answer, and nothing after that', async () => {
        const id = await born()
        const code = `${forge(`b'{"json'`)}time.sleep(60)`
        await expect(provider.execute(id, code, { timeMs: 300 })).rejects.toMatchObject({
          code: 'EXECUTION_TIMEOUT',
        })
      })
    })

    describe('cannot get out', () => {
      it('to files, devices, the host or a network', async () => {
        const secret = join(dataDir, 'secret')
        await writeFile(secret, 'treasure')
        const look = `
import os, socket
def attempt(do):
    try: return do()
    except OSError as error: return type(error).__name__
[attempt(lambda: open(${JSON.stringify(secret)}).read()),
 attempt(lambda: open('/dev/vport0p1', 'wb')),
 attempt(lambda: open('/dev/vda', 'rb')),
 attempt(lambda: open('/dev/mem', 'rb')),
 attempt(lambda: open('/usr/bin/new', 'w')),
 attempt(lambda: os.setuid(0)),
 attempt(lambda: os.kill(1, 9)),
 attempt(lambda: os.mknod('/tmp/disk', 0o60666, 0xfe00)),
 attempt(lambda: open('/proc/sysrq-trigger', 'w')),
 attempt(lambda: socket.create_connection(('1.1.1.1', 53), 2)),
 [name for _, name in socket.if_nameindex()], os.getuid()]`
        const [own, ...rest] = (await py(await born(), look)) as unknown[]
        expect(own).toBe('FileNotFoundError')
        expect(
          rest.slice(0, 8).filter((each) => !/^(Permission|OS)Error$/.test(String(each))),
        ).toEqual([])
        expect(rest.slice(8)).toEqual(['OSError', ['lo'], 1000])
      })

      it('by taking all processes, files, memory or disk', async () => {
        const ids = await Promise.all([born(), born(), born(), born()])
        for (const id of ids) await py(id, 'kept = 1')
        const forks = `
import os
n = 0
try:
    while True:
        if os.fork() == 0:
            while True:
                try: os.fork()
                except OSError: pass
        n += 1
except OSError as error: pass
raise SystemExit(1)`
        const files = `
held = []
try:
    while True: held.append(open('/dev/null'))
except OSError as error: pass
len(held) < 300`
        const memory = `
import os
for _ in range(20):
    if os.fork() == 0:
        hoard = bytearray(b'1') * 30_000_000
        while True: pass
while True: hoard = bytearray(b'1') * 60_000_000`
        const disk = `
import os
with open('fill', 'wb') as file: os.posix_fallocate(file.fileno(), 0, 1 << 30)`
        const [one, two, three, four] = ids
        const [forked, opened, eaten, written] = await Promise.all([
          failure(provider.execute(one, PYTHON + forks, { timeMs: 3_000 })),
          py(two, files),
          failure(provider.execute(three, PYTHON + memory, { timeMs: 3_000 })),
          failure(py(four, disk)),
        ])
        // A bomb leaves no processor to anyone, so it may also end with its time.
        expect((forked as { code: string }).code).toMatch(/PROGRAM_ERROR|EXECUTION_TIMEOUT/)
        expect(opened).toBe(true)
        expect((eaten as { code: string }).code).toMatch(/OUT_OF_MEMORY|EXECUTION_TIMEOUT/)
        expect(String(written)).toMatch(/No space left/)
        for (const id of ids) expect(await py(id, 'kept')).toBe(1)
      })

      it.each([
        ['const held = []; for (;;) held.push(new Uint8Array(1_000_000).fill(1))', 'JavaScript'],
        ['let s = "x"; for (;;) s += s', 'JavaScript, in a string'],
        [`${PYTHON}held = []\nwhile True: held.append(bytearray(1_000_000))`, 'Python'],
      ])('past a limit of memory: %s', async (code) => {
        const id = await born()
        await expect(provider.execute(id, code, { memoryBytes: 16_000_000 })).rejects.toMatchObject(
          { code: expect.stringMatching(/OUT_OF_MEMORY|PROGRAM_ERROR/) },
        )
        expect(await value(id, '1')).toBe(1)
      })
    })

    it(`leave nothing behind after ${CYCLES} rounds`, { timeout: CYCLES * 30_000 }, async () => {
      const memory: number[] = []
      const before = await readdir(join(dataDir, 'snapshots'))
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        const id = await born()
        const { id: snapshotId } = await provider.snapshot(id)
        const children = await provider.branch(snapshotId, 2)
        await Promise.all(children.map((child) => value(child.id, 'var x = 1')))
        await provider.execute(id, '1')
        await failure(provider.execute(id, 'throw 1'))
        await clear()
        await provider.forget(snapshotId)
        memory.push(process.memoryUsage().rss)
      }
      expect(await readdir(join(dataDir, 'snapshots'))).toEqual(before)
      const [session = ''] = await readdir(join(dataDir, 'sessions'))
      // What stays is the process that is kept ready.
      await expect.poll(() => machinesIn(dataDir), PATIENCE).toHaveLength(1)
      expect(await readdir(join(dataDir, 'sessions', session))).toHaveLength(2)
      // The first rounds fill what is kept for good.
      const settled = memory[Math.min(9, CYCLES - 1)] ?? 0
      expect((memory.at(-1) ?? 0) - settled).toBeLessThan(67_108_864)
    })
  })

  describe('replayable worlds', () => {
    beforeAll(() => start({ entropy: 'recorded' }))
    afterEach(clear)
    afterAll(stop)

    it('draw what their seed says, and their clock stands still', async () => {
      expect(provider.capabilities().deterministic).toBe(true)
      const programs = [
        '[Math.random(), Date.now(), new Date().getTime()]',
        `${PYTHON}import datetime, os, random, time, uuid
[random.random(), os.urandom(4).hex(), random.SystemRandom().random(), uuid.uuid4().hex, int(time.time() * 1000),
 datetime.datetime.now().isoformat()[:23]]`,
        'Math.random()',
      ]
      const play = async (id: string) => {
        const runs = []
        for (const code of programs) runs.push(await provider.execute(id, code))
        return runs.map(({ value, stateRoot }) => [value, stateRoot])
      }
      const id = await born(7n)
      const [one, two] = await branch(id, 2)
      const [first, second, third, other] = await Promise.all([
        play(id),
        play(one!),
        play(two!),
        play(await born(8n)),
      ])
      expect(second).toEqual(first)
      expect(third).toEqual(first)
      expect(first[0]![0]).toEqual([expect.any(Number), EPOCH_MS + 1, EPOCH_MS + 1])
      expect(other[0]![0]).not.toEqual(first[0]![0])
      expect(other[1]![0]).not.toEqual(first[1]![0])
    })

    it.each<[Language, string, Scenario[]]>([
      ['javascript', '', SCENARIOS],
      ['python', PYTHON, SCENARIOS.slice(0, 1)],
    ])('play scenarios in %s as QuickJS does', async (language, line, scenarios) => {
      const expected = await costsInQuickjs(...scenarios.map((each) => scenarioSpec(each)))
      for (const [i, each] of scenarios.entries()) {
        const found = await costsIn(provider, scenarioSpec(each, { language }), line)
        expect(found).toEqual(expected[i]!.map((cost) => expect.closeTo(cost, 9) as number))
      }
    })

    it('are branched by another process', async () => {
      const id = await born()
      await value(id, 'var x = [1]')
      const { id: snapshotId } = await provider.snapshot(id)
      const code = 'x.push(Math.random()); x'
      const here = await provider.execute(id, code)
      const { stdout } = await run(process.execPath, [
        fixture,
        'microvm',
        dataDir,
        code,
        snapshotId,
      ])
      expect(JSON.parse(stdout)).toEqual({ value: here.value, stateRoot: here.stateRoot })
    })

    it('are not made from snapshots that are not what they were', async () => {
      const id = await born()
      await value(id, 'var x = 1')
      const { id: snapshotId } = await provider.snapshot(id)
      const folder = join(dataDir, 'snapshots', snapshotId)
      for (const [name, change] of [
        ['ram', flipByte],
        ['state', cutShort],
        ['disk', removed],
        ['snapshot.json', flipByte],
        ['snapshot.json', removed],
      ] as const) {
        await spoil(join(folder, name), change)
        for (let attempt = 0; attempt < 2; attempt++)
          await expect(provider.branch(snapshotId, 2)).rejects.toMatchObject({
            code: 'SNAPSHOT_CORRUPT',
            message: expect.stringMatching(new RegExp(`${snapshotId}.*${name}`)),
          })
        expect(await provider.list()).toHaveLength(1)
        // The world has its own, and can be told again.
        expect((await provider.snapshot(id)).id).toBe(snapshotId)
        expect(await provider.branch(snapshotId, 0)).toEqual([])
      }
      const [child] = await provider.branch(snapshotId, 1)
      expect(await value(child!.id, 'x')).toBe(1)
    })

    it('outlive the cache, and are not made without their template', async () => {
      const id = await born()
      await value(id, 'var x = 1')
      const { id: snapshotId } = await provider.snapshot(id)
      const elsewhere = await mkdtemp(join(tmpdir(), 'microvm-'))
      const other = createMicrovmProvider()
      try {
        const name = join('snapshots', snapshotId)
        await mkdir(join(elsewhere, 'snapshots'))
        await cp(join(dataDir, name), join(elsewhere, name), { recursive: true })
        const manifest = join(elsewhere, name, 'snapshot.json')
        const text = await readFile(manifest, 'utf8')
        const strange = text.replace(/"template":"\w+"/, `"template":"${'0'.repeat(64)}"`)
        const strangeId = `0x${hash('sha256', strange)}`
        await cp(join(dataDir, name), join(elsewhere, 'snapshots', strangeId), { recursive: true })
        await writeFile(join(elsewhere, 'snapshots', strangeId, 'snapshot.json'), strange)
        await other.init({ dataDir: elsewhere })
        await expect(other.branch(strangeId, 1)).rejects.toMatchObject({
          code: 'SNAPSHOT_CORRUPT',
          message: expect.stringContaining('0'.repeat(64)),
        })
        const [child] = await other.branch(snapshotId, 1)
        expect((await other.execute(child!.id, 'x')).value).toBe(1)
      } finally {
        await other.shutdown()
        await rm(elsewhere, { recursive: true })
      }
    })

    it('that a killed process left are cleared away', async () => {
      const child = spawn(process.execPath, [fixture, 'microvm', dataDir, 'for (;;) {}'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = new Promise((resolve) => child.on('close', resolve))
      await new Promise((resolve) => child.stdout.once('data', resolve))
      expect(await readdir(join(dataDir, 'sessions'))).toHaveLength(2)
      const machines = await machinesIn(dataDir)
      expect(machines).toHaveLength(1)
      child.kill('SIGKILL')
      await closed
      // Its machines die with it.
      await expect.poll(() => machinesIn(dataDir), PATIENCE).toEqual([])
      // Something that did not: whatever works in its folder is ended.
      const sessions = await readdir(join(dataDir, 'sessions'))
      const folders = sessions.map((name) => join(dataDir, 'sessions', name))
      const dead = (
        await Promise.all(folders.map(async (f) => [f, await ownerOf(f)] as const))
      ).find(([, pid]) => pid === child.pid)![0]
      const left = join(dead, 'left')
      await mkdir(left)
      const straggler = spawn('sleep', ['60'], { cwd: left })
      const ended = new Promise((resolve) => straggler.on('close', resolve))
      const other = createMicrovmProvider()
      await other.init({ dataDir })
      await ended
      expect(await readdir(join(dataDir, 'sessions'))).toHaveLength(2)
      // Whose owner lives is left alone.
      const id = await born()
      expect(await value(id, '1')).toBe(1)
      await other.shutdown()
      expect(await readdir(join(dataDir, 'sessions'))).toHaveLength(1)
      expect(await value(id, '2')).toBe(2)
    })
  })

  it.skipIf(!canMakeDisks)(
    'a full disk fails what needs room, and costs the world nothing',
    async () => {
      const { folder: disk, fill, empty, remove } = await makeDisk(400)
      const provider = createMicrovmProvider()
      try {
        await provider.init({ dataDir: disk })
        const { id } = await provider.create({ seed: 1n })
        await provider.execute(id, 'var x = 1')
        await fill()
        const full = {
          code: 'DISK_FULL',
          message: expect.stringMatching(/disk is full|No space/),
        }
        await expect(provider.snapshot(id)).rejects.toMatchObject(full)
        await expect(provider.create({ seed: 2n })).rejects.toMatchObject(full)
        expect(await readdir(join(disk, 'snapshots'))).toEqual([])
        expect(await provider.list()).toHaveLength(1)
        await empty()
        const { id: snapshotId } = await provider.snapshot(id)
        expect((await provider.execute(id, 'x + 1')).value).toBe(2)
        expect(await provider.branch(snapshotId, 1)).toHaveLength(1)
      } finally {
        await provider.shutdown()
        await remove()
      }
    },
  )
})

function controlled(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

/** Processes of machines in a data folder. */
async function machinesIn(folder: string): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    const place = await readlink(`/proc/${name}/cwd`).catch(() => '')
    if (place.startsWith(join(folder, 'sessions'))) found.push(Number(name))
  }
  return found
}

/** The first machine that is seen to use the processor. */
async function busiest(folder: string): Promise<number> {
  const before = new Map<number, number>()
  for (;;) {
    for (const pid of await machinesIn(folder)) {
      const ticks = await cpuTicks(pid)
      if (ticks - (before.get(pid) ?? ticks) >= 10) return pid
      if (!before.has(pid)) before.set(pid, ticks)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Hundredths of a second that a process has run. */
async function cpuTicks(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 13).reduce((sum, field) => sum + Number(field), 0)
}

async function end(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL')
  // Gone, and its parent has been told.
  await expect.poll(() => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''), PATIENCE).toBe('')
}

async function ownerOf(session: string): Promise<number> {
  const text = await readFile(join(session, 'owner.json'), 'utf8')
  return (JSON.parse(text) as { pid: number }).pid
}

/** Puts another file in the place of one, or none; other names of it keep what they had. */
async function spoil(path: string, change: (content: Buffer) => Buffer | null): Promise<void> {
  const spoilt = change(await readFile(path))
  await rm(path)
  if (spoilt !== null) await writeFile(path, spoilt)
}

function removed(): null {
  return null
}
