import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { commandWords } from '../../cli/completion/words.ts'
import { createProgram } from '../../cli/program.ts'
import { multiverse } from './harness.ts'

// Completion as bash does it, with the script that the command prints; and that help's examples can be typed as printed.

const has = (shell: string) => spawnSync(shell, ['--version']).status === 0

let folder: string
let script: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multiverse-completion-'))
  script = join(folder, 'completion')
  const ran = await multiverse(['completion', 'bash'])
  await writeFile(script, ran.stdout)
  await writeFile(join(folder, 'a-spec.json'), '{}')
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** What bash offers for a line that ends where the cursor is. */
function complete(line: string): string[] {
  const words = line.split(' ')
  const run = `
    source "$1"; shift
    [[ $(complete -p multiverse) == *'-F _multiverse multiverse' ]] || exit 9
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _multiverse
    printf '%s\\n' "\${COMPREPLY[@]}"`
  const args = ['--norc', '--noprofile', '-u', '-c', run, 'bash', script, ...words]
  const out = execFileSync('bash', args, { cwd: folder, encoding: 'utf8' })
  return out.split('\n').filter((word) => word !== '')
}

const program = () =>
  createProgram({
    progress: { say: () => {}, begin: () => {}, end: () => {} },
    finish: async () => {},
    signal: () => new AbortController().signal,
  })

test.skipIf(!has('bash'))(
  'bash completes verbs, words behind them, options, choices, files',
  () => {
    const verbs = program().commands.map((each) => each.name())
    expect(complete('multiverse ')).toEqual(verbs)
    expect(complete('multiverse wal')).toEqual(['wallet'])
    expect(complete('multiverse wallet ')).toEqual(['new', 'import', 'list'])
    expect(complete('multiverse wallet import --k')).toEqual(['--key-fd'])
    expect(complete('multiverse up --outcome ')).toEqual(['nash', 'optimal', 'chaos', 'void'])
    expect(complete('multiverse up --fresh --outcome c')).toEqual(['chaos'])
    expect(complete('multiverse ask --spec a')).toEqual(['a-spec.json'])
    expect(complete('multiverse ask --deadline ')).toEqual([])
    expect(complete('multiverse completion z')).toEqual(['zsh'])
    expect(complete('multiverse balance --js')).toEqual(['--json'])
    // The value of an option is no verb.
    expect(complete('multiverse balance --as wallet --ow')).toEqual(['--owner'])
    expect(complete('multiverse nonsense --')).toEqual(['--help'])
  },
)

test.each(['zsh', 'fish'])(
  '%s is given every verb and option, in its own language',
  async (shell) => {
    const { stdout, code } = await multiverse(['completion', shell])
    expect(code).toBe(0)
    for (const { path, options } of commandWords(program())) {
      for (const word of path) expect(stdout).toContain(word)
      for (const { word } of options) expect(stdout).toContain(word.replace(/^--?/, ''))
    }
    const file = join(folder, shell)
    await writeFile(file, stdout)
    if (!has(shell)) return
    const { status, stderr } = spawnSync(shell, ['--no-execute', file], { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(status).toBe(0)
  },
)

test('another shell is refused', async () => {
  const { stderr, code } = await multiverse(['completion', 'tcsh'])
  expect(stderr).toMatch(/^error USAGE: .*Allowed choices are bash, zsh, fish\.\n$/)
  expect(code).toBe(2)
})

const verbs = (command: Command, path: string[] = []): [string, Command][] =>
  command.commands.flatMap((each) => {
    const words = [...path, each.name()]
    return [[words.join(' '), each] as [string, Command], ...verbs(each, words)]
  })

/** Those that do something themselves. */
const leaves = verbs(program()).filter(([, { commands }]) => commands.length === 0)

test.each(leaves)('%s has examples, and they can be typed as they are', async (name, verb) => {
  let help = ''
  verb.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
  const lines = help
    .slice(help.indexOf('Examples:'))
    .replaceAll(/\\\n */g, '')
    .split('\n')
    .filter((line) => /^ +([A-Z_]+=\S+ )*multiverse /.test(line))
  expect(lines.length).toBeGreaterThan(0)
  expect(lines.some((line) => line.includes(`multiverse ${name}`))).toBe(true)
  for (const line of lines) await parses(line.slice(line.indexOf('multiverse ') + 11))
})

/** Fails when the command does not understand a line of its own help. Nothing of it is done. */
async function parses(line: string): Promise<void> {
  const words = execFileSync(
    'bash',
    ['-c', `printf '%s\\n' ${line.replaceAll(/ \|.*| \d?[<>]\S.*| > .*/g, '')}`],
    {
      encoding: 'utf8',
    },
  )
  const typed = program()
  let isDone = false
  for (const [, each] of verbs(typed))
    each
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .action(() => void (isDone = true))
  await typed.parseAsync(words.trimEnd().split('\n'), { from: 'user' })
  expect(isDone).toBe(true)
}
