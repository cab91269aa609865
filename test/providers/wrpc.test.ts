import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  array,
  assert,
  asyncProperty,
  bigInt,
  boolean,
  constant,
  dictionary,
  double,
  integer,
  jsonValue,
  option as maybe,
  property,
  record as recordOf,
  string as text,
  uint8Array,
} from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { type Address, formatAddress, parseAddress } from '../../providers/wrpc/address.ts'
import { connectProvider } from '../../providers/wrpc/client.ts'
import {
  bool,
  bytes,
  type Codec,
  decode,
  encode,
  f64,
  list,
  option,
  record,
  result,
  s8,
  string,
  toKebab,
  tuple,
  u32,
  u64,
} from '../../providers/wrpc/codec.ts'
import {
  createRequestParser,
  createResponseParser,
  encodeFrame,
  encodeHeader,
} from '../../providers/wrpc/frames.ts'
import { FUNCTIONS, INSTANCE } from '../../providers/wrpc/interface.ts'
import { serveProvider, type Served } from '../../providers/wrpc/server.ts'
import { failure } from './conformance.ts'
import { javascript } from './javascript.ts'

const hex = (data: Uint8Array) => Buffer.from(data).toString('hex')

describe('values', () => {
  const pair = record('pair', { left: u32, right: option(string) })
  it.each<[what: string, codec: unknown, value: unknown, golden: string]>([
    ['false', bool, false, '00'],
    ['true', bool, true, '01'],
    ['s8 -1', s8, -1, 'ff'],
    ['s8 -128', s8, -128, '80'],
    ['u32 0', u32, 0, '00'],
    ['u32 127', u32, 127, '7f'],
    ['u32 128', u32, 128, '8001'],
    ['u32 624485', u32, 624_485, 'e58e26'],
    ['the largest u32', u32, 4_294_967_295, 'ffffffff0f'],
    ['the largest u64', u64, 2n ** 64n - 1n, 'ffffffffffffffffff01'],
    ['f64 1.5', f64, 1.5, '000000000000f83f'],
    ['text', string, 'é', '02c3a9'],
    ['no text', string, '', '00'],
    ['bytes', bytes, Buffer.of(1, 2), '020102'],
    ['a list', list(u32), [1, 300], '0201ac02'],
    ['none', option(u32), null, '00'],
    ['some', option(u32), 5, '0105'],
    ['a record', pair, { left: 1, right: 'a' }, '01010161'],
    ['a tuple', tuple(u32, bool), [2, true], '0201'],
    ['ok', result(u32, string), { ok: 7 }, '0007'],
    ['a failure', result(u32, string), { failure: 'no' }, '01026e6f'],
  ])('%s is written in its golden bytes', (_, codec, value, golden) => {
    expect(hex(encode(codec as Codec<unknown>, value))).toBe(golden)
    expect(decode(codec as Codec<unknown>, Buffer.from(golden, 'hex'))).toEqual(value)
  })

  it.each<[what: string, codec: unknown, data: string]>([
    ['nothing', u32, ''],
    ['a number without its end', u32, '80'],
    ['a number that is too long', u32, '808080808000'],
    ['a number that is too large', u32, 'ffffffff1f'],
    ['a u64 that is too large', u64, 'ffffffffffffffffff03'],
    ['a bool of 2', bool, '02'],
    ['an option of 2', option(u32), '0205'],
    ['text that ends early', string, '0561'],
    ['text that is no UTF-8', string, '01ff'],
    ['a list of 4 billion', list(u32), 'ffffffff0f00'],
    ['more than there is', u32, '0101'],
  ])('%s is refused', (_, codec, data) => {
    expect(() => decode(codec as Codec<unknown>, Buffer.from(data, 'hex'))).toThrow(
      expect.objectContaining({ code: 'RPC_MALFORMED' }),
    )
  })

  it.each<[codec: unknown, value: unknown]>([
    [u32, -1],
    [u32, 1.5],
    [u32, 2 ** 32],
    [u64, -1n],
    [u64, 2n ** 64n],
    [s8, 128],
  ])('%o cannot say %s', (codec, value) => {
    expect(() => encode(codec as Codec<unknown>, value)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    )
  })

  const whole = text({ unit: 'grapheme' })
  const number = double({ noNaN: true })
  const instance = recordOf({
    id: whole,
    providerId: whole,
    snapshotId: maybe(whole),
    bootMs: number,
  })
  const hash = constant(`0x${'ab'.repeat(32)}` as const)
  const limits = { timeMs: number, memoryBytes: number }
  const parameters = {
    describe: constant({}),
    init: recordOf({
      config: recordOf(
        { dataDir: whole, limits: recordOf(limits, { requiredKeys: [] }) },
        { requiredKeys: ['dataDir'] },
      ),
    }),
    shutdown: constant({}),
    receiveLinkConfig: recordOf({
      link: recordOf({
        source: whole,
        target: whole,
        name: whole,
        config: dictionary(
          whole.filter((name) => name !== '__proto__'),
          whole,
        ),
      }),
    }),
    create: recordOf({
      options: recordOf(
        {
          key: whole,
          seed: bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          component: whole,
          origin: recordOf({
            url: whole,
            blockNumber: integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
            blockHash: hash,
          }),
        },
        { requiredKeys: ['seed'] },
      ),
    }),
    branch: recordOf({
      snapshotId: whole,
      count: integer({ min: 0, max: 2 ** 32 - 1 }),
      options: recordOf({ key: whole, component: whole }, { requiredKeys: [] }),
    }),
    execute: recordOf({
      instanceId: whole,
      code: whole,
      options: recordOf({ ...limits, component: whole }, { requiredKeys: [] }),
    }),
    merge: recordOf({ instanceIds: array(whole), oracle: recordOf({ winner: whole }) }),
  }
  it.each(Object.keys(parameters))('parameters of %s arrive as they were sent', (name) => {
    const codec = FUNCTIONS[name as keyof typeof parameters].parameters as Codec<object>
    assert(
      property(parameters[name as keyof typeof parameters], (given) => {
        expect(decode(codec, encode(codec, given))).toMatchObject(given)
      }),
    )
  })

  const answers = {
    describe: recordOf({
      id: whole,
      name: whole,
      trit: integer({ min: -1, max: 1 }),
      capabilities: recordOf(
        {
          snapshot: boolean(),
          branch: boolean(),
          execute: boolean(),
          merge: boolean(),
          languages: array(whole),
          isolation: whole,
          deterministic: boolean(),
          origin: boolean(),
        },
        {
          requiredKeys: [
            'snapshot',
            'branch',
            'execute',
            'merge',
            'languages',
            'isolation',
            'deterministic',
          ],
        },
      ),
    }),
    init: constant(null),
    create: instance,
    snapshot: recordOf({
      id: whole,
      stateRoot: hash,
      bytes: integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      tookMs: number,
    }),
    branch: array(instance),
    execute: recordOf({
      value: jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown),
      stdout: whole,
      stderr: whole,
      exitCode: integer({ min: 0, max: 255 }),
      stateRoot: hash,
      tookMs: number,
    }),
  }
  it.each(Object.keys(answers))('results of %s arrive as they were sent', (name) => {
    const codec = FUNCTIONS[name as keyof typeof answers].result as Codec<unknown>
    assert(
      property(answers[name as keyof typeof answers], (ok) => {
        expect(decode(codec, encode(codec, { ok }))).toEqual({ ok: ok })
      }),
    )
  })

  it('never breaks on bytes of any kind', () => {
    const codecs = Object.values(FUNCTIONS).flatMap((each): Codec<unknown>[] => [
      each.parameters as Codec<unknown>,
      each.result as Codec<unknown>,
    ])
    assert(
      property(uint8Array({ maxLength: 64 }), (data) => {
        for (const codec of codecs) {
          const thrown = codeOf(() => decode(codec, data))
          expect([null, 'RPC_MALFORMED']).toContain(thrown)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('frames', () => {
  it('are written in their golden bytes', () => {
    expect(hex(encodeHeader({ instance: 'a:b/c', name: 'go' }))).toBe('0005613a622f6302676f')
    expect(hex(encodeFrame({ path: [], data: Uint8Array.of(9) }))).toBe('000109')
    expect(hex(encodeFrame({ path: [1, 300], data: new Uint8Array() }))).toBe('0201ac0200')
    // create({seed: 1069, component: 'keeper'}), which may be called off.
    const options = { seed: 1069n, component: 'keeper' }
    const request = Buffer.concat([
      encodeHeader({ instance: INSTANCE, name: 'create' }),
      encodeFrame({ path: [], data: encode(FUNCTIONS.create.parameters, { options }) }),
    ])
    expect(hex(request)).toBe(
      `00${hex(encode(string, 'multiverse:world-runtime/provider@0.1.0'))}06637265617465` +
        '000d00ad0801066b65657065720000',
    )
  })

  it('of a run that is heard stand at their golden places', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wrpc-'))
    const provider = createQuickjsProvider({ workers: 1 })
    const served = await serveProvider(provider, { path: join(folder, 'p.sock') })
    try {
      await provider.init({ dataDir: join(folder, 'worlds') })
      const { id } = await provider.create({ seed: 1n })
      const call = (options: object) => ({
        instanceId: id,
        code: 'console.log("a"); console.error("é"); 7',
        options,
      })
      const answered = async (options: object) => {
        const socket = connect({ path: join(folder, 'p.sock') })
        const data = encode(FUNCTIONS.execute.parameters, call(options))
        socket.write(encodeHeader({ instance: INSTANCE, name: 'execute' }))
        socket.write(encodeFrame({ path: [], data }))
        const parser = createResponseParser()
        const frames = []
        for await (const piece of socket) frames.push(...parser.push(piece as Buffer))
        expect(parser.isWhole()).toBe(true)
        return frames.map((each) => `${each.path.join('.')} ${hex(each.data)}`)
      }
      const heard = await answered({ isHeard: true })
      // Both come later; a line to stdout (0), a line to stderr (1), no more; the result.
      expect(heard.slice(0, 4)).toEqual([' 0000', '0.0 010002610a', '0.0 010103c3a90a', '0.0 00'])
      expect(heard[4]).toMatch(/^0\.1 00013702610a03c3a90a00/)
      expect(heard).toHaveLength(5)
      const unheard = await answered({})
      expect(unheard.slice(0, 2)).toEqual([' 0000', '0.0 00'])
      expect(unheard[2]).toMatch(/^0\.1 0001370/)
      expect(unheard).toHaveLength(3)
    } finally {
      await served.close()
      await provider.shutdown()
      await rm(folder, { recursive: true })
    }
  })

  it('are put together from pieces of any size', () => {
    const frame = recordOf({
      path: array(integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 4 }),
      data: uint8Array({ maxLength: 300 }),
    })
    assert(
      property(
        array(frame),
        array(integer({ min: 1, max: 40 }), { minLength: 1 }),
        (frames, sizes) => {
          const header = { instance: 'i', name: 'n' }
          const stream = Buffer.concat([encodeHeader(header), ...frames.map(encodeFrame)])
          const parser = createRequestParser()
          const found: unknown[] = []
          for (let at = 0, i = 0; at < stream.length; i++) {
            const size = sizes[i % sizes.length] ?? 1
            found.push(...parser.push(stream.subarray(at, at + size)))
            at += size
          }
          expect(found.map(plain)).toEqual([header, ...frames].map(plain))
          expect(parser.isWhole()).toBe(true)
        },
      ),
    )
  })

  it('of several MiB take time in proportion', () => {
    const data = new Uint8Array(16_000_000).fill(7)
    const stream = encodeFrame({ path: [], data })
    const parser = createResponseParser()
    const begun = performance.now()
    let found = 0
    for (let at = 0; at < stream.length; at += 65_536)
      found += parser.push(stream.subarray(at, at + 65_536)).length
    expect(found).toBe(1)
    expect(performance.now() - begun).toBeLessThan(2_000)
  })

  it('end the stream when they are nonsense, or too large', () => {
    const malformed = expect.objectContaining({ code: 'RPC_MALFORMED' })
    expect(() => createRequestParser().push(Buffer.from('01', 'hex'))).toThrow(malformed)
    expect(() => createResponseParser().push(Buffer.from('00ffffffff0f', 'hex'))).toThrow(malformed)
    const parser = createResponseParser()
    parser.push(Buffer.from('0005', 'hex'))
    expect(parser.isWhole()).toBe(false)
  })
})

it('addresses are read as they are written', () => {
  for (const each of ['unix:/run/a b.sock', 'tcp:127.0.0.1:0', 'tcp:::1:65535'])
    expect(formatAddress(parseAddress(each))).toBe(each)
  for (const each of ['', '/run/x', 'tcp:host', 'tcp:host:99999', 'unix:'])
    expect(() => parseAddress(each)).toThrow('is no address')
})

it('the WIT file says what the codecs do', async () => {
  const file = await readFile(
    new URL('../../providers/wit/world-runtime.wit', import.meta.url),
    'utf8',
  )
  const declared = new Map(
    Object.values(FUNCTIONS).flatMap(({ declares }) =>
      declares.map(({ name, text }) => [name, text]),
    ),
  )
  const functions = Object.entries(FUNCTIONS).map(
    ([name, { wit }]) => `  ${toKebab(name)}: ${wit};\n`,
  )
  const bare = file.replaceAll(/^ *\/\/.*\n/gm, '').replaceAll(/^\n/gm, '')
  const written = [...declared.values(), ...functions]
  for (const each of written) expect(bare).toContain(each)
  const frame = [
    'package multiverse:world-runtime@0.1.0;\n',
    'interface provider {\n',
    '}\n',
    'world host {\n  export provider;\n}\n',
  ]
  const rest = [...written, ...frame].reduce((left, each) => left.replace(each, ''), bare)
  expect(rest).toBe('')
  expect(INSTANCE).toBe('multiverse:world-runtime/provider@0.1.0')
})

describe('a connection', () => {
  let folder: string
  let path: string
  let provider: WorldRuntimeProvider
  let served: Served | undefined
  let fake: Server | undefined
  const sockets = new Set<Socket>()
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wrpc-'))
    path = join(folder, 'provider.sock')
    provider = createQuickjsProvider({ workers: 1 })
    await provider.init({ dataDir: join(folder, 'worlds') })
  })
  afterEach(async () => {
    await served?.close()
    for (const socket of sockets) socket.destroy()
    await new Promise<void>((resolve) =>
      fake === undefined ? resolve() : fake.close(() => resolve()),
    )
    served = fake = undefined
    await provider.shutdown()
    await rm(folder, { recursive: true })
  })

  /** A server that answers what it is properly once, and then does as it is told. */
  async function pretend(then: (socket: Socket) => void): Promise<Address> {
    const description = {
      id: 'fake',
      name: 'Fake',
      trit: 1 as const,
      capabilities: provider.capabilities(),
    }
    const data = encode(FUNCTIONS.describe.result, { ok: description })
    let calls = 0
    fake = createServer((socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      socket.on('error', () => undefined)
      if (calls++ === 0) socket.end(encodeFrame({ path: [], data }))
      else socket.once('data', () => then(socket))
    })
    fake.listen(path)
    await once(fake, 'listening')
    return { path }
  }

  it('says what the provider is, and carries its errors whole', async () => {
    served = await serveProvider(provider, { path })
    const remote = await connectProvider({ path })
    expect(remote).toMatchObject({ id: 'quickjs', name: provider.name, trit: 1 })
    expect(remote.capabilities()).toEqual(provider.capabilities())
    const { id } = await remote.create({ seed: 1n })
    const code = 'console.log("so far"); throw new TypeError("bad")'
    await expect(remote.execute(id, code)).rejects.toMatchObject({
      name: 'MultiverseError',
      code: 'PROGRAM_ERROR',
      message: 'the program threw TypeError: bad',
      cause: { stdout: 'so far\n', name: 'TypeError' },
    })
    await expect(remote.create({ seed: 1n, origin })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('is open to its owner alone, and takes over a path that nobody serves', async () => {
    served = await serveProvider(provider, { path })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await expect(serveProvider(provider, { path })).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
    })
    await served.close()
    await served.close()
    await writeFile(path, '')
    served = await serveProvider(provider, { path })
    expect(await (await connectProvider({ path })).list()).toEqual([])
  })

  it('that cannot be made is told', async () => {
    await expect(connectProvider({ path })).rejects.toMatchObject({
      code: 'PROVIDER_FAILED',
      isRetryable: true,
    })
  })

  it.each<[what: string, then: (socket: Socket) => void, code: string]>([
    ['garbage', (socket) => socket.end(Buffer.from('00ffffffffff0f', 'hex')), 'RPC_MALFORMED'],
    ['half an answer', (socket) => socket.end(Buffer.from('0009000101', 'hex')), 'PROVIDER_FAILED'],
    ['nothing', (socket) => socket.end(), 'PROVIDER_FAILED'],
    ['the end of the connection', (socket) => socket.destroy(), 'PROVIDER_FAILED'],
    [
      'another type',
      (socket) => socket.end(encodeFrame({ path: [], data: Uint8Array.of(0, 200) })),
      'RPC_MALFORMED',
    ],
    ['never', () => undefined, 'PROVIDER_FAILED'],
  ])('that is answered with %s is told', async (what, then, code) => {
    const answerMs = what === 'never' ? 50 : 10_000
    const remote = await connectProvider(await pretend(then), { answerMs, executeMs: 0 })
    for (const work of [
      () => remote.list(),
      () => remote.execute('x', '1'),
      () => remote.execute('x', '1', { timeMs: 1 }),
    ])
      await expect(work()).rejects.toMatchObject({ code })
  })

  it('whose stream comes in shreds is heard in order, and one that is garbage is told', async () => {
    const at = (path: number[], data: string) =>
      encodeFrame({ path, data: Buffer.from(data, 'hex') })
    const head = at([], '0000')
    const hang = [head, at([0, 0], '0100'), at([0, 0], '0161010101'), at([0, 0], '62')]
    let frames = hang
    const remote = await connectProvider(
      await pretend((socket) => socket.end(Buffer.concat(frames))),
    )
    const heard: string[] = []
    const onOutput = ({ stream, text }: { stream: string; text: string }) =>
      void heard.push(`${stream} ${text}`)
    const run = () => remote.execute('x', '1', { onOutput })
    // It ends without a result.
    await expect(run()).rejects.toMatchObject({ code: 'PROVIDER_FAILED' })
    expect(heard).toEqual(['stdout a', 'stderr b'])
    for (frames of [
      [head, at([0, 0], '010700')],
      [head, at([0, 0], '00'), at([0, 1], '09')],
      [at([], '0001'), at([0, 0], '00'), at([0, 1], '0101610162000000')],
    ])
      await expect(run()).rejects.toMatchObject({ code: 'RPC_MALFORMED' })
  })

  it.each([
    ['nonsense', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['another version', Buffer.from('01', 'hex')],
    ['a function there is not', encodeHeader({ instance: INSTANCE, name: 'explode' })],
    ['an interface there is not', encodeHeader({ instance: 'a:b/c', name: 'list' })],
    [
      'parameters that make no sense',
      Buffer.concat([
        encodeHeader({ instance: INSTANCE, name: 'create' }),
        encodeFrame({ path: [], data: Uint8Array.of(7) }),
      ]),
    ],
    [
      'data for a place there is not',
      Buffer.concat([
        encodeHeader({ instance: INSTANCE, name: 'create' }),
        encodeFrame({ path: [5], data: Uint8Array.of(7) }),
      ]),
    ],
  ])('that brings %s is hung up on, and others go on', async (_, request) => {
    served = await serveProvider(provider, { path })
    const socket = connect({ path })
    socket.on('error', () => undefined)
    socket.write(request)
    await once(socket, 'close')
    expect(await (await connectProvider({ path })).list()).toEqual([])
  })

  it('that is lost calls off what it was for', async () => {
    served = await serveProvider(provider, { path })
    const { id } = await provider.create({ seed: 1n })
    const parameters = { instanceId: id, code: javascript.neverEnds, options: {} }
    const socket = connect({ path })
    socket.write(encodeHeader({ instance: INSTANCE, name: 'execute' }))
    socket.write(encodeFrame({ path: [], data: encode(FUNCTIONS.execute.parameters, parameters) }))
    const after = provider.execute(id, javascript.add(1))
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
    expect((await after).value).toBe(1)
  })

  it('that is closed by its server tells its calls', async () => {
    served = await serveProvider(provider, { path })
    const remote = await connectProvider({ path })
    const { id } = await remote.create({ seed: 1n })
    const run = failure(remote.execute(id, javascript.neverEnds))
    await new Promise((resolve) => setTimeout(resolve, 50))
    await served.close()
    expect(await run).toMatchObject({ code: 'PROVIDER_FAILED', isRetryable: true })
    expect((await provider.execute(id, javascript.add(1))).value).toBe(1)
  })

  it('carries large programs and results', async () => {
    served = await serveProvider(provider, { path })
    const remote = await connectProvider({ path })
    const { id } = await remote.create({ seed: 1n })
    await assert(
      asyncProperty(text({ unit: 'grapheme', maxLength: 50 }), async (each) => {
        const { value } = await remote.execute(id, JSON.stringify(each))
        expect(value).toBe(each)
      }),
      { numRuns: 20 },
    )
    const big = 'é'.repeat(400_000)
    expect((await remote.execute(id, JSON.stringify(big))).value).toBe(big)
  })

  it('reaches a provider in a process of its own, which ends with this one', async () => {
    const main = fileURLToPath(new URL('../../providers/wrpc/main.ts', import.meta.url))
    const child = spawn(process.execPath, [main, 'quickjs', `unix:${path}`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    expect(String(line)).toBe(`unix:${path}\n`)
    const remote = await connectProvider({ path })
    await remote.init({ dataDir: join(folder, 'elsewhere') })
    const { id } = await remote.create({ seed: 3n })
    await remote.execute(id, javascript.add(2))
    const { id: snapshotId, stateRoot } = await remote.snapshot(id)
    // The same world here has the same state.
    const here = await provider.create({ seed: 3n })
    expect((await provider.execute(here.id, javascript.add(2))).stateRoot).toBe(stateRoot)
    expect(await remote.branch(snapshotId, 3)).toHaveLength(3)
    child.stdin.end()
    const [code] = (await once(child, 'exit')) as [number]
    expect(code).toBe(0)
  })
})

const origin = {
  url: 'http://127.0.0.1:1',
  blockNumber: 1,
  blockHash: `0x${'00'.repeat(32)}` as const,
}

/** A header or a frame that can be compared. */
function plain(part: unknown): unknown {
  const { data, ...rest } = part as { data?: Uint8Array }
  return { ...rest, data: data === undefined ? null : hex(data) }
}

function codeOf(work: () => unknown): unknown {
  try {
    work()
    return null
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}
