import { createHash } from 'node:crypto'
import { child, children, childrenOf, type Node, type Range, rangeOf, splice } from './ast.ts'
import { type Edit, editsOf, NOTHING, withSemicolon } from './operators.ts'

/**
 * How a mutant is woven into a source beside its original, so that one compilation serves many:
 * - `condition`: a truth value that becomes a conditional expression;
 * - `value`: an expression in a loop's head, likewise;
 * - `statement`: a statement, its semicolon included, that becomes a branch;
 * - `declaration`: a declaration whose value is assigned in branches after it;
 * - `file`: none of these; it is compiled alone.
 */
export type Place =
  | { kind: 'condition' | 'value' | 'statement'; range: Range }
  | { kind: 'declaration'; range: Range; declared: string; target: string; value: Range }
  | { kind: 'file' }

/** One change of one source. `file` is the path from the repository's root, `context` the function or constant it is in. */
export type Mutant = Edit & { file: string; context: string; place: Place }

/** Every mechanical mutant of a source. @param text The source, one character a byte. */
export function mutantsOf(file: string, ast: Node, text: string): Mutant[] {
  const found: Mutant[] = []

  const add = (context: string, place: Place, edits: readonly Edit[]) => {
    for (const edit of edits) found.push({ ...edit, file, context, place })
  }

  /** Every edit of an expression and what it is made of. */
  const expression = (node: Node): Edit[] => [
    ...editsOf(node, text),
    ...childrenOf(node).flatMap((each) => expression(each)),
  ]

  /** @param isSole It is all that a check without an alternative guards: dropping it is dropping the check. */
  function statement(context: string, node: Node, isSole = false): void {
    const inside = (each: Node | undefined, sole = false) => {
      if (each !== undefined) statement(context, each, sole)
    }
    const condition = (each: Node | undefined) => {
      if (each === undefined) return
      const own = editsOf(node, text)
      add(context, { kind: 'condition', range: rangeOf(each) }, [...own, ...expression(each)])
    }
    const value = (each: Node | undefined) => {
      if (each !== undefined)
        add(context, { kind: 'value', range: rangeOf(each) }, expression(each))
    }

    switch (node.nodeType) {
      case 'Block':
      case 'UncheckedBlock': {
        const body = children(node, 'statements')
        for (const each of body) inside(each, isSole && body.length === 1)
        return
      }
      case 'IfStatement': {
        const otherwise = child(node, 'falseBody')
        condition(child(node, 'condition'))
        inside(child(node, 'trueBody'), otherwise === undefined)
        inside(otherwise)
        return
      }
      case 'ForStatement': {
        const begin = child(node, 'initializationExpression')
        const step = child(node, 'loopExpression')
        if (begin !== undefined) value(child(begin, 'initialValue'))
        condition(child(node, 'condition'))
        if (step !== undefined) value(child(step, 'expression'))
        inside(child(node, 'body'))
        return
      }
      case 'WhileStatement':
      case 'DoWhileStatement':
        condition(child(node, 'condition'))
        inside(child(node, 'body'))
        return
      case 'TryStatement':
        add(context, { kind: 'file' }, expression(child(node, 'externalCall')!))
        for (const clause of children(node, 'clauses')) inside(child(clause, 'block'))
        return
      case 'InlineAssembly':
        return
      case 'VariableDeclarationStatement': {
        const initial = child(node, 'initialValue')
        if (initial !== undefined)
          add(context, declaration(node, initial, text), expression(initial))
        return
      }
      default: {
        const own = editsOf(node, text).filter((edit) => !(isSole && edit.text === NOTHING))
        const parts = childrenOf(node).flatMap((each) => expression(each))
        const place: Place = { kind: 'statement', range: withSemicolon(rangeOf(node), text) }
        add(context, place, [...own, ...parts])
      }
    }
  }

  function definition(node: Node): void {
    const name = String(node['name'] || node['kind'])
    switch (node.nodeType) {
      case 'FunctionDefinition': {
        for (const modifier of children(node, 'modifiers'))
          if (modifier['kind'] === 'modifierInvocation')
            add(name, { kind: 'file' }, [
              { operator: 'dropped modifier', range: rangeOf(modifier), text: '' },
            ])
        const body = child(node, 'body')
        if (body !== undefined) statement(name, body)
        return
      }
      case 'ModifierDefinition':
        statement(name, child(node, 'body')!)
        return
      case 'VariableDeclaration': {
        const initial = child(node, 'value')
        if (initial !== undefined) add(name, { kind: 'file' }, expression(initial))
        return
      }
      case 'ContractDefinition':
        if (node['contractKind'] !== 'interface') children(node, 'nodes').forEach(definition)
        return
      default:
    }
  }

  children(ast, 'nodes').forEach(definition)
  return withoutTwins(found, text)
}

/** Splits `T a = value` into `T a;` and, for later, `a = value`. */
function declaration(node: Node, initial: Node, text: string): Place {
  const list = node['declarations'] as (Node | null)[]
  const parts = list.map((each) => {
    if (each === null) return { declared: '', name: '' }
    const { start, end } = rangeOf(each)
    return { declared: `${text.slice(start, end)}; `, name: String(each['name']) }
  })
  const names = parts.map(({ name }) => name)
  return {
    kind: 'declaration',
    range: withSemicolon(rangeOf(node), text),
    declared: parts.map(({ declared }) => declared).join(''),
    target: names.length === 1 ? names[0]! : `(${names.join(', ')})`,
    value: rangeOf(initial),
  }
}

/** The source with the mutant in it. */
export const mutated = (text: string, { range, text: becomes }: Mutant): string =>
  splice(text, range, becomes)

/** Names a mutant by what it makes of its file, whoever made it. */
export function mutantKey(text: string, mutant: Mutant): string {
  return createHash('sha256')
    .update(mutant.file)
    .update(mutated(text, mutant))
    .digest('hex')
    .slice(0, 32)
}

/** Drops mutants that change nothing, or the same as one before them. */
function withoutTwins(mutants: readonly Mutant[], text: string): Mutant[] {
  const seen = new Set<string>()
  return mutants.filter((mutant) => {
    const { start, end } = mutant.range
    if (text.slice(start, end) === mutant.text) return false
    const key = mutantKey(text, mutant)
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

const flat = (part: string) => part.replaceAll(/\s+/g, ' ').trim()

/** How people find a mutant: its line, and the changed lines before and after, on one line each. */
export function describe(
  text: string,
  mutant: Mutant,
): { line: number; before: string; after: string } {
  const { start, end } = mutant.range
  const from = text.lastIndexOf('\n', start - 1) + 1
  const to = text.indexOf('\n', end) < 0 ? text.length : text.indexOf('\n', end)
  return {
    line: text.slice(0, start).split('\n').length,
    before: flat(text.slice(from, to)),
    after: flat(
      splice(text.slice(from, to), { start: start - from, end: end - from }, mutant.text),
    ),
  }
}
