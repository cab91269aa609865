import type { CommandWords, OptionWords, Values } from './words.ts'

// Written for bash 3.2, which macOS has: no associative arrays, no mapfile.

/** A script for bash that completes `name`: `source <(multiverse completion bash)`. */
export function bashCompletion(name: string, commands: readonly CommandWords[]): string {
  const paths = commands.flatMap(({ path }) => (path.length > 0 ? [path.join(' ')] : []))
  return `# bash completion of ${name}: source <(${name} completion bash)
_${name}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" path="" word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${path:+$path }\${COMP_WORDS[i]}"
    case "$word" in
      ${paths.map(quote).join('|')}) path="$word" ;;
    esac
  done
  case "$path $prev" in
${commands.flatMap((command) => command.options.flatMap((option) => optionCase(command, option))).join('\n')}
  esac
  case "$path" in
${commands.map(commandCase).join('\n')}
  esac
}
complete -F _${name} ${name}
`
}

function optionCase({ path }: CommandWords, { word, values }: OptionWords): string[] {
  if (values === null) return []
  return [`    ${quote(`${path.join(' ')} ${word}`)}) ${offer(values)}; return ;;`]
}

function commandCase({ path, verbs, options, values }: CommandWords): string {
  const flags = options.map(({ word }) => word)
  const first = values[0] ?? { kind: 'any' }
  const plain: Values =
    verbs.length > 0 ? { kind: 'words', words: verbs.map(({ word }) => word) } : first
  return `    ${quote(path.join(' '))})
      case "$cur" in
        -*) ${offer({ kind: 'words', words: flags })} ;;
        *) ${offer(plain)} ;;
      esac ;;`
}

function offer(values: Values): string {
  if (values.kind === 'words')
    return `COMPREPLY=($(compgen -W ${quote(values.words.join(' '))} -- "$cur"))`
  return values.kind === 'file'
    ? 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"))'
    : ':'
}

const quote = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`
