import { child, children, childrenOf, type Node, rangeOf, splice, textOf } from './ast.ts'

/**
 * Turns private constants into functions that return them, on the same lines: a constant cannot depend on which mutant is
 * awake, a function can.
 * @param text The source, one character a byte.
 */
export function liftConstants(ast: Node, text: string): string {
  const lifted = constantsOf(ast)
  const edits = lifted.flatMap((constant) => {
    const name = String(constant['name'])
    const uses = usesOf(ast, constant['id']).map((use) => ({
      range: rangeOf(use),
      text: `${name}()`,
    }))
    const location =
      constant['storageLocation'] === 'default' && isReference(constant) ? ' memory' : ''
    const type = textOf(child(constant, 'typeName')!, text) + location
    const value = child(constant, 'value')!
    const { start } = rangeOf(constant)
    const after = rangeOf(constant).end
    return [
      ...uses,
      {
        range: { start, end: rangeOf(value).start },
        text: `function ${name}() private pure returns (${type}) { return `,
      },
      { range: { start: after, end: after + 1 }, text: '; }' },
    ]
  })
  return edits
    .toSorted((a, b) => b.range.start - a.range.start)
    .reduce((changed, { range, text: becomes }) => splice(changed, range, becomes), text)
}

const constantsOf = (ast: Node): Node[] =>
  children(ast, 'nodes')
    .flatMap((contract) => children(contract, 'nodes'))
    .filter(
      (node) =>
        node.nodeType === 'VariableDeclaration' &&
        node['constant'] === true &&
        node['visibility'] === 'private',
    )

const usesOf = (node: Node, id: unknown): Node[] => [
  ...(node.nodeType === 'Identifier' && node['referencedDeclaration'] === id ? [node] : []),
  ...childrenOf(node).flatMap((each) => usesOf(each, id)),
]

function isReference(constant: Node): boolean {
  const { typeString } = (constant['typeDescriptions'] ?? {}) as { typeString?: string }
  return typeString === 'string' || typeString === 'bytes'
}
