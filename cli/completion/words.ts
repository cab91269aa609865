import type { Argument, Command, Option } from 'commander'

/** What may be typed at a place: a verb, an option, a value. */
export type Word = { word: string; about: string }

/** An option with what may follow it; null when it takes nothing. */
export type OptionWords = Word & { values: Values | null }

/** What a value may be: one of some words, a file, or anything. */
export type Values = { kind: 'words'; words: string[] } | { kind: 'file' } | { kind: 'any' }

/** A command with all that may stand behind it; `path` is its words, none for the program itself. */
export type CommandWords = {
  path: string[]
  verbs: Word[]
  options: OptionWords[]
  /** Of its arguments, in order. */
  values: Values[]
}

/** Every command of a program, the program first. */
export function commandWords(program: Command, path: string[] = []): CommandWords[] {
  const { commands } = program
  const own: CommandWords = {
    path,
    verbs: commands.map((each) => ({ word: each.name(), about: each.description() })),
    options: program.createHelp().visibleOptions(program).flatMap(optionWords),
    values: program.registeredArguments.map((each) => valuesOf(each, each.name())),
  }
  return [own, ...commands.flatMap((each) => commandWords(each, [...path, each.name()]))]
}

function optionWords(option: Option): OptionWords[] {
  const takesValue = option.required || option.optional
  const placeholder = /[<[]([\w-]+)/.exec(option.flags)?.[1] ?? ''
  const values = takesValue ? valuesOf(option, placeholder) : null
  return [option.long, option.short]
    .filter((flag) => typeof flag === 'string')
    .map((word) => ({ word, about: option.description, values }))
}

/** By the choices there are, else by what the placeholder says. */
function valuesOf({ argChoices }: Option | Argument, placeholder: string): Values {
  if (argChoices !== undefined) return { kind: 'words', words: argChoices }
  return /^(file|dir|spec)$/.test(placeholder) ? { kind: 'file' } : { kind: 'any' }
}
