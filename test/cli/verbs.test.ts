import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Command } from 'commander'
import stringWidth from 'string-width'
import { toHex } from 'viem'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createProgress } from '../../cli/output.ts'
import { createProgram } from '../../cli/program.ts'
import { failureOutput } from '../../sdk/output.ts'
import { type Fixture, startFixture } from './fixture.ts'
import { alone, inProcess, lastJson, start } from './harness.ts'
import { ROWS, type Row } from './table.ts'

// Every verb that speaks to a chain, on a real one: what it prints, as a process of its own, and what it does with bad input.

const UNKNOWN = '0x999999'
const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))

let fixture: Fixture
/** A data folder that has the contracts' addresses and another chain's block. */
let elsewhere: string
let empty: string

beforeAll(async () => {
  fixture = await startFixture()
  elsewhere = await mkdtemp(join(tmpdir(), 'multiverse-cli-'))
  empty = await mkdtemp(join(tmpdir(), 'multiverse-cli-'))
  const other = { ...fixture.chain.deployment, startBlockHash: toHex(1n, { size: 32 }) }
  await writeFile(join(elsewhere, 'deployment.json'), JSON.stringify(other))
})

afterAll(async () => {
  await fixture?.stop()
  for (const folder of [elsewhere, empty]) await rm(folder, { recursive: true, force: true })
})

const args = (row: Row) => row.line(fixture).split(' ')
const naming = ROWS.filter(({ names }) => names !== undefined)
/** The row's line about something else. */
const about = (row: Row, name: string) => row.line(fixture).replace(row.names!(fixture), name)

/** The line for the fixture's data folder and chain. */
const here = (line: string) => [
  ...line.split(' '),
  '--data',
  fixture.dataDir,
  '--rpc',
  fixture.chain.url,
]

/** Every verb by what one types, on a command line of its own. */
function commands(): Map<string, Command> {
  const program = createProgram({
    progress: createProgress(process.stderr),
    finish: async () => {},
    signal: () => new AbortController().signal,
  })
  const below = (command: Command, prefix: string): [string, Command][] =>
    command.commands.flatMap((each) => [
      [`${prefix}${each.name()}`, each],
      ...below(each, `${prefix}${each.name()} `),
    ])
  return new Map(below(program, ''))
}

test('the table has every verb that speaks to a chain', () => {
  const verbs = [...commands()]
    .filter(([, { options }]) => options.some(({ long }) => long === '--as'))
    .map(([verb]) => verb)
    // They are about networks elsewhere, and have tests of their own.
    .filter((verb) => !['deploy', 'run'].includes(verb))
  expect(verbs.toSorted()).toEqual(ROWS.map(({ verb }) => verb).toSorted())
})

test('every verb has help with examples of itself, and on 40 columns no line is longer', () => {
  vi.stubEnv('COLUMNS', '40')
  for (const [verb, command] of commands()) {
    let help = ''
    command
      .configureOutput({ writeOut: (text) => (help += text), getOutHelpWidth: () => 40 })
      .outputHelp()
    const example = new RegExp(`\\nExamples:\\n  # .+\\n(  # .+\\n)*  multiverse ${verb}\\b`)
    // A word that only stands before others, as `redeemer`, has none.
    expect([verb, command.commands.length > 0 || example.test(help)]).toEqual([verb, true])
    // How a verb is typed is broken nowhere but before an option, and is looked at apart.
    const [text = '', shown = ''] = help.split('\nExamples:\n')
    const comments = shown.split('\n').filter((line) => line.startsWith('  #'))
    for (const line of [...text.split('\n').slice(1), ...comments])
      expect(stringWidth(line)).toBeLessThanOrEqual(40)
  }
  vi.unstubAllEnvs()
})

describe.concurrent.each(ROWS)('$verb', (row) => {
  test('prints JSON as documented, on the last line or on each', async ({ expect }) => {
    const line = row.line(fixture)
    const ran = await fixture.inTurn(line, () => inProcess([...here(line), '--json']))
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    const lines = ran.stdout.trimEnd().split('\n')
    if (row.verb !== 'events') expect(lines).toHaveLength(1)
    expect(lines.length).toBeGreaterThan(0)
    for (const line of lines) expect(row.schema.safeParse(JSON.parse(line)).error).toBeUndefined()
  })

  test('fits 40 columns, without colours where no terminal is', async ({ expect }) => {
    const line = row.line(fixture)
    const ran = await fixture.inTurn(line, () => alone(here(line), { COLUMNS: '40' }))
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).not.toContain('\u001b')
    expect(ran.stdout.trim()).not.toBe('')
    for (const line of ran.stdout.split('\n')) expect(stringWidth(line)).toBeLessThanOrEqual(40)
  })

  test('ends quietly when its reader has gone', async ({ expect }) => {
    await fixture.inTurn(row.line(fixture), async () => {
      const child = start([...args(row), '--data', fixture.dataDir, '--rpc', fixture.chain.url])
      child.stdout.destroy()
      let stderr = ''
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
    })
  })

  test('says where no stack runs, and what to do', async ({ expect }) => {
    const ran = await inProcess([...args(row), '--data', empty, '--json'])
    expect(ran.code).toBe(4)
    expect(ran.stderr).toMatch(
      /^error NO_STACK: no stack runs on .*: start one with `npm start`.*\n$/,
    )
    expect(failureOutput.parse(lastJson(ran)).error.code).toBe('NO_STACK')
  })

  test('refuses a chain that is another one', async ({ expect }) => {
    const ran = await inProcess([...args(row), '--data', elsewhere, '--rpc', fixture.chain.url])
    expect(ran.code).toBe(3)
    expect(ran.stderr).toMatch(
      /^error OTHER_CHAIN: block \d+ is 0x0*1 in the data folder and .*\n$/,
    )
    expect(ran.stdout).toBe('')
  })

  test('ends at once on Ctrl-C while the chain does not answer', async ({ expect }) => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const asked = once(server, 'connection')
    const rpc = `http://127.0.0.1:${port}`
    const child = start([...args(row), '--data', fixture.dataDir, '--rpc', rpc])
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const ended = once(child, 'close')
    const [socket] = (await asked) as [{ destroy: () => void }]
    child.kill('SIGINT')
    expect(await ended).toEqual([130, null])
    expect(stderr).toMatch(/^error INTERRUPTED: ended by Ctrl-C: .*\n$/)
    socket.destroy()
    server.close()
  })
})

describe.concurrent.each(naming)('$verb', (row) => {
  test('does not know a question that nobody asked, and says where to look', async ({ expect }) => {
    const ran = await inProcess(here(about(row, UNKNOWN)))
    expect(ran.stderr).toBe(
      `error UNKNOWN_QUESTION: no question begins with ${UNKNOWN}: see \`multiverse questions\`\n`,
    )
    expect(ran).toMatchObject({ code: 1, stdout: '' })
  })

  test('names the candidates of an ambiguous title', async ({ expect }) => {
    const ran = await inProcess(here(about(row, 'which-way')))
    const [first, second] = [fixture.split, fixture.twin].map((id) => id.slice(0, 10))
    expect(ran.stderr).toBe(
      `error AMBIGUOUS_QUESTION: which-way may be 2 questions: ${first} (Which way?), ${second} (which way)\n`,
    )
    expect(ran).toMatchObject({ code: 2, stdout: '' })
  })
})

describe.concurrent.each(ROWS.filter(({ isWriting }) => isWriting === true))('$verb', (row) => {
  const line = () => row.line(fixture).replace(/ --as \w+/, '')

  test('refuses a key that is none, without showing it', async ({ expect }) => {
    const key = `0x${'zz'.repeat(32)}`
    const ran = await fixture.run(line(), { MULTIVERSE_PRIVATE_KEY: key })
    expect(ran.stderr).toBe('error INVALID_KEY: MULTIVERSE_PRIVATE_KEY holds no private key\n')
    expect(ran).toMatchObject({ code: 2, stdout: '' })
  })
})

test.each([
  [
    'resolve',
    'resolve --question answer-me --outcome optimal --as alice',
    'NOT_ORACLE',
    /only bob/,
  ],
  ['resolve', 'resolve --question too-late --outcome nash', 'NO_KEEPER', /only the keeper can/],
  ['narrow', 'narrow --question which --survivors nash', 'UNKNOWN_QUESTION', /called which/],
  ['narrow', 'narrow --question answer-me --survivors nash,hash', 'UNKNOWN_OUTCOME', /one of nash/],
  ['narrow', 'narrow --question answer-me --survivors 0 --as alice', 'NOT_ORACLE', /^/],
  ['expire', 'expire --question narrow-me', 'DEADLINE_NOT_REACHED', /^/],
  ['questions', 'questions --state lost', 'USAGE', /Allowed choices are open, answered, expired/],
  ['events', 'events --from-block -1', 'USAGE', /whole number/],
  [
    'push-down',
    'push-down --question which-way --amount 1 --as mallory',
    'AMBIGUOUS_QUESTION',
    /^/,
  ],
  ['push-down', 'push-down --question too-late --amount 1', 'ALREADY_RESOLVED', /^/],
  ['ask', 'ask --spec SPEC --deadline +1h --as mallory', 'UNKNOWN_WALLET', /one of alice, bob/],
  ['redeemer set', 'redeemer set 0x12', 'INVALID_ADDRESS', /0x12 is not an address/],
])('%s: %s is %s', async (_, line, code, message) => {
  const ran = await inProcess(here(line.replace('SPEC', fixture.specPath)))
  expect(ran.stderr).toMatch(new RegExp(`^error ${code}: .*\n$`))
  expect(ran.stderr).toMatch(message.source === '^' ? /./ : message)
  expect(ran.stdout).toBe('')
  expect(ran.code).not.toBe(0)
})

test('head sees one line, and the shell no error', async () => {
  const command = `"$NODE" "$MAIN" events --json --data "$DATA" --rpc "$RPC" | head -1; echo "\${PIPESTATUS[0]}"`
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', command], {
    env: {
      ...process.env,
      NODE: process.execPath,
      MAIN: main,
      DATA: fixture.dataDir,
      RPC: fixture.chain.url,
    },
  })
  const [line = '', status] = stdout.trimEnd().split('\n')
  expect(JSON.parse(line)).toMatchObject({ event: 'QuestionAsked' })
  expect(status).toBe('0')
  expect(stderr).toBe('')
})

const hasScript = spawnSync('script', ['--version']).stdout?.toString().includes('util-linux')

describe.skipIf(!hasScript)('on a terminal', () => {
  /** What a terminal of 40 columns is sent. */
  const onTerminal = async (verb: string, env: Record<string, string> = {}) => {
    const line = `stty cols 40 && '${process.execPath}' '${main}' ${verb} --data '${fixture.dataDir}' --rpc '${fixture.chain.url}'`
    // In continuous integration Node shows no colours, whatever the terminal.
    const { NO_COLOR: _, FORCE_COLOR: __, COLUMNS: ___, CI: ____, ...inherited } = process.env
    const { stdout } = await promisify(execFile)('script', ['-qec', line, '/dev/null'], {
      env: { ...inherited, TERM: 'xterm-256color', ...env },
    })
    return stdout.replaceAll('\r\n', '\n')
  }

  test('there are colours, and lines as long as it is wide', async () => {
    const text = await onTerminal('events')
    expect(text).toContain('\u001b[')
    for (const line of text.split('\n')) expect(stringWidth(line)).toBeLessThanOrEqual(40)
  })

  test('with NO_COLOR there are none', async () => {
    expect(await onTerminal('events', { NO_COLOR: '1' })).not.toContain('\u001b')
  })
})
