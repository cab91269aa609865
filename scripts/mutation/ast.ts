// Just enough of solc's JSON AST to walk it. Offsets are bytes, so sources are handled as Latin-1 text: one character a byte.

/** A node of solc's AST; what else it holds depends on `nodeType`. */
export type Node = { nodeType: string; src: string } & Record<string, unknown>

/** A half-open range of a source, in bytes. */
export type Range = { start: number; end: number }

/** Where a node stands. */
export function rangeOf({ src }: Node): Range {
  const [start, length] = src.split(':').map(Number) as [number, number]
  return { start, end: start + length }
}

/** A node's own text in its source. */
export function textOf(node: Node, text: string): string {
  const { start, end } = rangeOf(node)
  return text.slice(start, end)
}

/** A source's text with one character a byte. */
export const bytesOf = (source: string): string => Buffer.from(source, 'utf8').toString('latin1')

/** The way back. */
export const sourceOf = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8')

/** `text` with one range replaced. */
export function splice(text: string, { start, end }: Range, replacement: string): string {
  return text.slice(0, start) + replacement + text.slice(end)
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'nodeType' in value && 'src' in value
}

/** A node's direct children, in no order. */
export function childrenOf(node: Node): Node[] {
  return Object.values(node).flatMap((value) =>
    Array.isArray(value) ? value.filter(isNode) : isNode(value) ? [value] : [],
  )
}

/** The child under `key`, if there is one. */
export function child(node: Node, key: string): Node | undefined {
  const value = node[key]
  return isNode(value) ? value : undefined
}

/** The children in the list under `key`; what is left out of a list (as in tuples) is skipped. */
export function children(node: Node, key: string): Node[] {
  const value = node[key]
  return Array.isArray(value) ? value.filter(isNode) : []
}

/** An expression's type as solc spells it, e.g. "uint256". */
export function typeOf(node: Node): string {
  const { typeString } = (node['typeDescriptions'] ?? {}) as { typeString?: string }
  return typeString ?? ''
}

/** A type that two expressions must share to stand in for each other, e.g. without the length of a literal. */
export function typeIdOf(node: Node): string {
  const { typeIdentifier } = (node['typeDescriptions'] ?? {}) as { typeIdentifier?: string }
  return typeIdentifier ?? ''
}
