import type { CommandWords, OptionWords, Values } from './words.ts'

/** A script for zsh that completes `name`: `source <(multiverse completion zsh)`, or a file `_multiverse` on the fpath. */
export function zshCompletion(name: string, commands: readonly CommandWords[]): string {
  return `#compdef ${name}
${commands.map((command) => commandFunction(name, command)).join('\n')}
if [ "$funcstack[1]" = "_${name}" ]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`
}

function commandFunction(name: string, { path, verbs, options, values }: CommandWords): string {
  const lines = options.map((option) => `    ${optionSpec(option)}`)
  const rest =
    verbs.length > 0
      ? ["    '1: :->verb'", "    '*:: :->rest'"]
      : values.map((each) => `    ${quote(`: :${action(each)}`)}`)
  const body = `${functionName(name, path)}() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \\
${[...lines, ...rest].join(' \\\n')}
`
  if (verbs.length === 0) return `${body}}\n`
  const described = verbs.map(({ word, about }) => quote(`${word}:${about.replaceAll(':', ' ')}`))
  const cases = verbs.map(
    ({ word }) => `        ${quote(word)}) ${functionName(name, [...path, word])} ;;`,
  )
  return `${body}  case $state in
    verb)
      local -a verbs
      verbs=(${described.join(' ')})
      _describe verb verbs ;;
    rest)
      case $line[1] in
${cases.join('\n')}
      esac ;;
  esac
}
`
}

function optionSpec({ word, about, values }: OptionWords): string {
  const text = about.replaceAll(/[[\]:]/g, ' ')
  return quote(values === null ? `${word}[${text}]` : `${word}[${text}]: :${action(values)}`)
}

function action(values: Values): string {
  if (values.kind === 'words') return `(${values.words.join(' ')})`
  return values.kind === 'file' ? '_files' : ' '
}

const functionName = (name: string, path: readonly string[]) =>
  ['', name, ...path].join('_').replaceAll('-', '_')

const quote = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`
