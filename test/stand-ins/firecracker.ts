import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createSocketServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Context, createContext, runInContext } from 'node:vm'

// A stand-in for the `firecracker` program, for machines where it cannot run: `firecracker.ts --api-sock PATH [--id ID]`.
// It is written from Firecracker's published API description and snapshot documentation, and keeps their rules: which call
// is allowed when, which fields a body must and may have, what a snapshot needs to be loaded, what a pause stops. The guest
// is a stand-in too: it speaks the agent's protocol, runs JavaScript only, and its memory is the list of what it was asked,
// which a load does again.

type Body = Record<string, unknown>
type Config = Record<string, Body>

const VERSION = '1.12.0'
const PORT = 1024
const BOOT_MS = 30
const HEAD_BYTES = 64

/** A call that is refused, in Firecracker's form. */
class Refusal extends Error {}

const argument = (name: string) => process.argv[process.argv.indexOf(name) + 1]
if (process.argv.includes('--version')) {
  console.log(`Firecracker v${VERSION}`)
  process.exit(0)
}
const apiPath = argument('--api-sock')
if (apiPath === undefined || !process.argv.includes('--api-sock'))
  throw new Error('--api-sock is missing')

let state: 'Not started' | 'Running' | 'Paused' = 'Not started'
const config: Config = {}
let guest: Guest | null = null
let resumed = Promise.withResolvers<void>()

// What a field of a body must be. Fields that are not named here are refused.
type Check = (value: unknown) => boolean
const text: Check = (value) => typeof value === 'string' && value !== ''
const flag: Check = (value) => typeof value === 'boolean'
const whole =
  (least: number, most = 2 ** 31): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
const among =
  (...values: string[]): Check =>
  (value) =>
    values.includes(value as string)
const shape =
  (required: Record<string, Check>, optional: Record<string, Check> = {}): Check =>
  (value) => {
    if (typeof value !== 'object' || value === null) return false
    const fields = Object.entries(value)
    return (
      Object.keys(required).every((name) => name in value) &&
      fields.every(([name, field]) => (required[name] ?? optional[name])?.(field) === true)
    )
  }

type Route = {
  method: string
  path: RegExp
  /** When it is allowed: before the start, after it, or always. */
  when: 'before' | 'after' | 'always'
  body: Check
  perform: (body: Body, path: string) => void | Promise<void>
}

const keep = (body: Body, path: string) => {
  config[path] = body
}

const routes: Route[] = [
  {
    method: 'PUT',
    path: /^\/machine-config$/,
    when: 'before',
    body: shape(
      { vcpu_count: whole(1, 32), mem_size_mib: whole(1) },
      {
        smt: flag,
        track_dirty_pages: flag,
        huge_pages: among('None', 'Transparent', '2M'),
        cpu_template: text,
      },
    ),
    perform: keep,
  },
  {
    method: 'PUT',
    path: /^\/boot-source$/,
    when: 'before',
    body: shape({ kernel_image_path: text }, { initrd_path: text, boot_args: text }),
    perform: (body, path) => {
      for (const name of ['kernel_image_path', 'initrd_path'])
        if (name in body) mustExist(String(body[name]))
      // The kernel has to be an uncompressed ELF image.
      if (readFileSync(String(body['kernel_image_path'])).toString('latin1', 1, 4) !== 'ELF')
        throw new Refusal('The kernel file cannot be loaded: it is no ELF image')
      keep(body, path)
    },
  },
  {
    method: 'PUT',
    path: /^\/drives\/\w+$/,
    when: 'before',
    body: shape(
      { drive_id: text, is_root_device: flag, is_read_only: flag, path_on_host: text },
      {
        cache_type: among('Unsafe', 'Writeback'),
        io_engine: among('Sync', 'Async'),
        partuuid: text,
      },
    ),
    perform: (body, path) => {
      if (`/drives/${String(body['drive_id'])}` !== path)
        throw new Refusal('The id from the path does not match the id from the body')
      mustExist(String(body['path_on_host']))
      keep(body, path)
    },
  },
  {
    method: 'PUT',
    path: /^\/vsock$/,
    when: 'before',
    body: shape({ guest_cid: whole(3), uds_path: text }, { vsock_id: text }),
    perform: keep,
  },
  {
    method: 'PUT',
    path: /^\/actions$/,
    when: 'always',
    body: shape({ action_type: among('InstanceStart', 'FlushMetrics', 'SendCtrlAltDel') }),
    perform: async ({ action_type: action }) => {
      if (action !== 'InstanceStart') throw new Refusal(`${String(action)} is not part of this`)
      if (state !== 'Not started') throw new Refusal(AFTER_START)
      if (!('/boot-source' in config))
        throw new Refusal('Cannot start microvm without kernel configuration')
      await listen()
      state = 'Running'
      resumed.resolve()
      guest = newGuest([])
    },
  },
  {
    method: 'PATCH',
    path: /^\/vm$/,
    when: 'after',
    body: shape({ state: among('Paused', 'Resumed') }),
    perform: (body) => {
      if (body['state'] === 'Resumed') {
        state = 'Running'
        resumed.resolve()
      } else if (state !== 'Paused') {
        state = 'Paused'
        resumed = Promise.withResolvers()
      }
    },
  },
  {
    method: 'PUT',
    path: /^\/snapshot\/create$/,
    when: 'after',
    body: shape(
      { snapshot_path: text, mem_file_path: text },
      { snapshot_type: among('Full', 'Diff') },
    ),
    perform: (body) => {
      if (state !== 'Paused') throw new Refusal('A snapshot is allowed only of a paused microVM')
      writeFileSync(String(body['snapshot_path']), JSON.stringify({ version: VERSION, config }))
      writeFileSync(String(body['mem_file_path']), JSON.stringify(guest?.history))
    },
  },
  {
    method: 'PUT',
    path: /^\/snapshot\/load$/,
    when: 'before',
    body: shape(
      {
        snapshot_path: text,
        mem_backend: shape({ backend_type: among('File', 'Uffd'), backend_path: text }),
      },
      {
        resume_vm: flag,
        track_dirty_pages: flag,
        clock_realtime: flag,
        vsock_override: shape({ uds_path: text }),
      },
    ),
    perform: async (body) => {
      if (Object.keys(config).length > 0)
        throw new Refusal('Loading is not allowed after boot-specific resources are configured')
      try {
        const { backend_path: memory } = body['mem_backend'] as Body
        const saved = JSON.parse(readFileSync(String(body['snapshot_path']), 'utf8')) as {
          config: Config
        }
        const history = JSON.parse(readFileSync(String(memory), 'utf8')) as string[]
        Object.assign(config, saved.config)
        const override = body['vsock_override'] as Body | undefined
        if (override) config['/vsock'] = { ...config['/vsock'], ...override }
        for (const [path, drive] of Object.entries(config))
          if (path.startsWith('/drives/')) mustExist(String(drive['path_on_host']))
        await listen()
        state = 'Paused'
        guest = newGuest(history)
        if (body['resume_vm'] === true) {
          state = 'Running'
          resumed.resolve()
        }
      } catch (error) {
        // The process may be in no usable state, so it ends, once it has said why.
        setTimeout(() => process.exit(1), 20)
        throw new Refusal(`Load snapshot error: ${String(error)}`)
      }
    },
  },
]

const AFTER_START = 'The requested operation is not supported after starting the microVM'
const BEFORE_START = 'The requested operation is not supported before starting the microVM'

function mustExist(path: string): void {
  if (!existsSync(path) || !statSync(path).isFile()) throw new Refusal(`${path} cannot be opened`)
}

async function handle(request: IncomingMessage): Promise<object | null> {
  const { method = '', url = '' } = request
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  if (method === 'GET' && url === '/') {
    const id = argument('--id') ?? 'anonymous-instance'
    return { id, state, vmm_version: VERSION, app_name: 'Firecracker' }
  }
  const route = routes.find((each) => each.method === method && each.path.test(url))
  if (route === undefined) throw new Refusal(`Invalid request method and/or path: ${method} ${url}`)
  if (request.headers['content-type'] !== 'application/json')
    throw new Refusal('The body is not application/json')
  let body: unknown
  try {
    body = JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    throw new Refusal('An error occurred when deserializing the json body')
  }
  if (!route.body(body)) throw new Refusal(`The body of ${method} ${url} is invalid`)
  if (route.when === 'before' && state !== 'Not started') throw new Refusal(AFTER_START)
  if (route.when === 'after' && state === 'Not started') throw new Refusal(BEFORE_START)
  await route.perform(body as Body, url)
  return null
}

const api = createServer((request, response) => {
  handle(request).then(
    (answer) => {
      if (answer === null) response.writeHead(204).end()
      else
        response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer))
    },
    (error: unknown) => {
      const fault = { fault_message: error instanceof Refusal ? error.message : String(error) }
      response.writeHead(400, { 'Content-Type': 'application/json' }).end(JSON.stringify(fault))
    },
  )
})
api.listen(apiPath)

/** Listens where the host reaches the guest's vsock. Rejects when there is something already. */
function listen(): Promise<void> {
  const path = config['/vsock']?.['uds_path']
  if (typeof path !== 'string') return Promise.resolve()
  const server = createSocketServer((socket) => void serve(socket).catch(() => socket.destroy()))
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
}

/** Gives bytes of a socket, so many at a time. */
function reader(socket: Socket): (length: number) => Promise<Buffer> {
  let data = Buffer.alloc(0)
  let wake: (() => void) | null = null
  let hasEnded = false
  socket.on('data', (chunk: Buffer) => {
    data = Buffer.concat([data, chunk])
    wake?.()
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    hasEnded = true
    wake?.()
  })
  return async (length) => {
    while (data.length < length) {
      if (hasEnded) throw new Error('the host has hung up')
      await new Promise<void>((resolve) => (wake = resolve))
    }
    const taken = data.subarray(0, length)
    data = data.subarray(length)
    return taken
  }
}

async function serve(socket: Socket): Promise<void> {
  const read = reader(socket)
  let line = ''
  while (!line.endsWith('\n')) line += (await read(1)).toString('latin1')
  await resumed.promise
  if (line !== `CONNECT ${PORT}\n` || guest === null || !guest.isUp) {
    socket.destroy()
    return
  }
  socket.write('OK 1073741824\n')
  for (;;) {
    const head = await read(HEAD_BYTES)
    const body = (await read(head.readUInt32LE(24))).toString('latin1')
    // A guest that is paused does nothing.
    await resumed.promise
    const answer = head.readUInt8(0) === 3 ? { json: 'null' } : await guest.run(body)
    await resumed.promise
    socket.write(`${JSON.stringify(answer)}\n`)
  }
}

type Guest = { history: string[]; isUp: boolean; run: (body: string) => Promise<object> }

function newGuest(past: readonly string[]): Guest {
  const context = createContext({})
  const self: Guest = {
    history: [],
    isUp: past.length > 0,
    run: async (body) => {
      self.history.push(body)
      return evaluate(context, body)
    },
  }
  const ready = sleep(past.length > 0 ? 0 : BOOT_MS).then(() => {
    self.isUp = true
  })
  void ready
  for (const body of past) {
    self.history.push(body)
    void evaluate(context, body)
  }
  return self
}

async function evaluate(context: Context, body: string): Promise<object> {
  const { code, seed, still } = JSON.parse(body) as {
    code: string
    seed: number[] | null
    still: number | null
  }
  let stdout = ''
  const hidden = { seed, still, log: (line: string) => void (stdout += `${line}\n`) }
  runInContext(SETUP, context)(hidden)
  try {
    // The agent's other languages are not spoken here; what warms them up is let pass.
    const isWarmUp = /^(print\(1\); 1 \+ 1|echo 1|sleep 3)$/.test(code)
    const value: unknown = await (isWarmUp ? null : runInContext(code, context))
    return { json: JSON.stringify(value ?? null), stdout, stderr: '' }
  } catch (error) {
    const { name, message } = error as Error
    return {
      error: { code: 'PROGRAM_ERROR', message: `${name}: ${message}`, stack: '' },
      stdout,
      stderr: '',
    }
  }
}

const SETUP = `(({ seed, still, log }) => {
  globalThis.console = { log }
  if (still !== null) Date.now = () => still
  if (seed !== null) {
    let state = seed[0] + seed[1]
    Math.random = () => ((state = (state * 16807 + 11) % 2147483647) / 2147483647)
  }
})`
