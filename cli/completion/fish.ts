import type { CommandWords, OptionWords, Values, Word } from './words.ts'

/** A script for fish that completes `name`: `multiverse completion fish | source`. */
export function fishCompletion(name: string, commands: readonly CommandWords[]): string {
  const verbs = commands[0]?.verbs.map(({ word }) => word) ?? []
  const lines = commands.flatMap((command) => {
    const when = quote(condition(command, verbs))
    const complete = (rest: string) => `complete -c ${name} -n ${when} ${rest}`
    return [
      ...command.verbs.map((verb) => complete(`-f -a ${quote(verb.word)}${describe(verb)}`)),
      ...command.options.map((option) => complete(optionWords(option))),
      ...command.values.slice(0, 1).map((each) => complete(values(each))),
    ]
  })
  return `# fish completion of ${name}: ${name} completion fish | source\n${lines.join('\n')}\n`
}

/** When a command is the one that is being typed. */
function condition({ path, verbs }: CommandWords, all: readonly string[]): string {
  if (path.length === 0) return `not __fish_seen_subcommand_from ${all.join(' ')}`
  const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`)
  const inner = verbs.map(({ word }) => word)
  if (inner.length > 0) seen.push(`not __fish_seen_subcommand_from ${inner.join(' ')}`)
  return seen.join('; and ')
}

function optionWords(option: OptionWords): string {
  const flag = option.word.startsWith('--')
    ? `-l ${option.word.slice(2)}`
    : `-s ${option.word.slice(1)}`
  const value = option.values === null ? '' : ` ${values(option.values, '-r ')}`
  return `${flag}${value}${describe(option)}`
}

function values(each: Values, required = ''): string {
  if (each.kind === 'words') return `-f ${required}-a ${quote(each.words.join(' '))}`
  return each.kind === 'file' ? `${required}-F` : `-f ${required}`.trimEnd()
}

const describe = ({ about }: Word) => ` -d ${quote(about)}`

const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`
