import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkNode } from '../../cli/doctor/machine.ts'
import { checkChain, checkCredentials, checkDatabases } from '../../cli/doctor/services.ts'
import { freePorts } from '../../cli/stack/ports.ts'
import { acquireLock } from '../../sdk/node/lock.ts'
import { DATA_VERSION } from '../../sdk/node/version.ts'
import { doctorOutput } from '../../sdk/output.ts'
import { startChain } from '../helpers/chain.ts'
import { lastJson, multiverse } from './harness.ts'

// What the doctor finds: as a process on this machine, and of things that this machine does not lack.

let folder: string
const servers: Server[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-doctor-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
})

/** Something that listens, and says `answer` to whoever writes to it. */
async function listen(answer = ''): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', () => socket.end(answer))
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Runs it on an empty PATH, so that no engine is found whatever is installed here. */
async function doctor(args: string[], env: Record<string, string> = {}) {
  const ran = await multiverse(['doctor', ...args], { PATH: folder, ...env })
  return { ...ran, findings: () => doctorOutput.parse(lastJson(ran)) }
}

test('says what is there, what is optional, and how to mend it', async () => {
  const dataDir = join(folder, 'data')
  const { chain: port } = await freePorts()
  const env = { MORPH_API_KEY: 'hunter2', MODAL_TOKEN_ID: 'hunter3' }
  const ran = await doctor(['--json', '--data', dataDir, '--port-base', `${port}`], env)
  expect(ran.stderr).toBe('')
  const { ok, findings } = ran.findings()
  const by = (id: string) => findings.find((each) => each.id === id)
  // Whoever runs one test file by hand may have older packages or contracts than the sources ask for.
  const setup = setupState()
  expect(by('packages')).toMatchObject({ required: true, ok: setup.packages })
  expect(by('contracts')).toMatchObject({ required: true, ok: setup.contracts })
  expect(ok).toBe(setup.packages && setup.contracts)
  expect(ran.code).toBe(ok ? 0 : 1)
  for (const id of ['node', 'ports', 'disk', 'data'])
    expect(by(id)).toMatchObject({ required: true, ok: true, mend: null })
  for (const id of ['gvisor', 'qemu', 'firecracker', 'gensyn', 'ritual'])
    expect(by(id)).toMatchObject({ required: false, ok: false })
  expect(by('morph')).toMatchObject({ ok: true, detail: 'MORPH_API_KEY set' })
  expect(by('modal')).toMatchObject({
    ok: false,
    detail: 'MODAL_TOKEN_SECRET not set',
    mend: 'export MODAL_TOKEN_SECRET=...',
  })
  expect(findings.filter((each) => !each.ok && !each.mend)).toEqual([])
  expect(ran.stdout).not.toContain('hunter')
})

test('exits with 1 when something required is missing, and fits a narrow terminal', async () => {
  const taken = await listen()
  const { chain: silent } = await freePorts()
  await writeFile(join(folder, 'letter.txt'), 'dear')
  const args = ['--data', folder, '--rpc', `http://127.0.0.1:${silent}/secret`]
  const env = { COLUMNS: '40', KEEPER_DATABASE_URL: `postgres://me:hunter2@127.0.0.1:${silent}/db` }
  const ran = await doctor([...args, '--port-base', `${taken}`], env)
  expect(ran.code).toBe(1)
  // Lines break wherever they must.
  const text = squeeze(ran.stdout)
  expect(text).toContain(squeeze('ports, data folder, chain RPC, Postgres.'))
  expect(text).toContain(squeeze(`port ${taken} (chain) is taken -> npm start -- --port-base `))
  expect(text).toContain(squeeze('holds letter.txt, which is not ours'))
  expect(text).toContain(squeeze('start the chain, or name another with --rpc'))
  expect(text).toContain(squeeze('or unset KEEPER_DATABASE_URL to use a file instead'))
  expect(ran.stdout).not.toMatch(/hunter2|secret/)
  for (const line of ran.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(40)
})

test('tells whose a data folder is', async () => {
  const dataDir = join(folder, 'data')
  await mkdir(dataDir)
  const marker = join(dataDir, 'multiverse.json')
  await writeFile(marker, JSON.stringify({ version: DATA_VERSION }))
  const lock = await acquireLock(join(dataDir, 'lock'))
  const base = `${(await freePorts()).chain}`
  const look = async () => {
    const ran = await doctor(['--json', '--data', dataDir, '--port-base', base])
    return ran.findings().findings.find(({ id }) => id === 'data')
  }
  expect((await look())?.detail).toBe(
    `${dataDir}, version ${DATA_VERSION}, writable, held by process ${process.pid}`,
  )
  await lock.release()
  await writeFile(marker, JSON.stringify({ version: DATA_VERSION + 1 }))
  const tooNew = `${dataDir} has version ${DATA_VERSION + 1}, `
  expect(await look()).toMatchObject({
    ok: false,
    detail: expect.stringContaining(tooNew) as string,
  })
})

test('an old Node, a database that is none, and variables that hold what they must', async () => {
  expect(checkNode('20.19.0')).toMatchObject({ ok: false, required: true })
  expect(checkNode('24.11.9').ok).toBe(false)
  expect(checkNode('24.12.0').ok).toBe(true)
  expect(checkNode('25.0.0').ok).toBe(true)
  expect(await checkDatabases({})).toEqual([])
  const [ours, web, none] = await Promise.all(
    [
      `postgres://x@127.0.0.1:${await listen('N')}/db`,
      `postgres://127.0.0.1:${await listen('HTTP/1.1 400')}`,
      'mysql://hunter2@db',
    ].map(async (KEEPER_DATABASE_URL) => (await checkDatabases({ KEEPER_DATABASE_URL }))[0]),
  )
  expect(ours).toMatchObject({ ok: true })
  expect(web).toMatchObject({ ok: false, detail: expect.stringContaining('otherwise') as string })
  expect(none).toMatchObject({ ok: false, detail: 'KEEPER_DATABASE_URL is no Postgres URL' })
  expect(checkCredentials({}).map(({ id }) => id)).toEqual([
    'morph',
    'modal',
    'primeintellect',
    'gensyn',
    'ritual',
  ])
})

test('knows the chain of a deployment from another', async () => {
  const chain = await startChain()
  try {
    const [bare] = await checkChain(folder, chain.url)
    expect(bare).toMatchObject({
      ok: true,
      detail: expect.stringContaining('no deployment') as string,
    })
    await writeFile(join(folder, 'deployment.json'), JSON.stringify(chain.deployment))
    const [here] = await checkChain(folder, chain.url)
    expect(here).toMatchObject({
      ok: true,
      detail: expect.stringContaining('has the deployment') as string,
    })
    const other = { ...chain.deployment, chainId: 1 }
    await writeFile(join(folder, 'deployment.json'), JSON.stringify(other))
    const [wrong] = await checkChain(folder, chain.url)
    expect(wrong).toMatchObject({
      ok: false,
      detail: expect.stringContaining('belongs to chain 1, the RPC serves chain 31337') as string,
      mend: expect.stringContaining('--rpc') as string,
    })
    expect(await checkChain(folder, undefined)).toEqual([])
  } finally {
    await chain.stop()
  }
})

/** What the bootstrap says of packages and contracts. */
function setupState(): { packages: boolean; contracts: boolean } {
  const bootstrap = fileURLToPath(new URL('../../scripts/bootstrap.mjs', import.meta.url))
  const said = execFileSync(process.execPath, [bootstrap, '--state'], { encoding: 'utf8' })
  return JSON.parse(said) as { packages: boolean; contracts: boolean }
}

const squeeze = (text: string) => text.replaceAll(/\s+/g, '')
