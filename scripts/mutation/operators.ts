import { child, children, type Node, type Range, rangeOf, textOf, typeIdOf, typeOf } from './ast.ts'

/** A change of one expression or statement: the bytes of `range` become `text`. */
export type Edit = { operator: string; range: Range; text: string }

const boundaries: Record<string, string> = { '<': '<=', '<=': '<', '>': '>=', '>=': '>' }
const opposites: Record<string, string> = {
  '==': '!=',
  '!=': '==',
  '<': '>=',
  '>=': '<',
  '>': '<=',
  '<=': '>',
}
const swaps: Record<string, string> = {
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
  '%': '*',
  '**': '*',
  '<<': '>>',
  '>>': '<<',
  '&': '|',
  '|': '&',
  '^': '&',
  '&&': '||',
  '||': '&&',
  '+=': '-=',
  '-=': '+=',
  '*=': '/=',
  '/=': '*=',
  '|=': '&=',
  '&=': '|=',
  '<<=': '>>=',
  '>>=': '<<=',
  '++': '--',
  '--': '++',
}

/**
 * Every mechanical change of the node itself, its children's not included.
 * @param text The whole source, one character a byte.
 */
export function editsOf(node: Node, text: string): Edit[] {
  switch (node.nodeType) {
    case 'BinaryOperation':
      return binary(node, text)
    case 'Assignment':
      return assignment(node, text)
    case 'UnaryOperation':
      return unary(node, text)
    case 'Literal':
      return literal(node, text)
    case 'Conditional':
      return conditional(node, text)
    case 'FunctionCall':
      return call(node, text)
    case 'MemberAccess':
      return limit(node, text)
    case 'IfStatement':
      return [...condition(node, text), ...fixed(node, 'dropped check', 'false')]
    case 'ForStatement':
    case 'WhileStatement':
      return fixed(node, 'dropped loop', 'false')
    case 'EmitStatement':
      return [dropped(node, 'dropped event', text)]
    case 'ExpressionStatement':
      return pointsStorage(child(node, 'expression')!)
        ? []
        : [dropped(node, 'dropped statement', text)]
    case 'RevertStatement':
    case 'Continue':
    case 'Break':
      return [dropped(node, 'dropped statement', text)]
    case 'Return':
      return returned(node, text)
    default:
      return []
  }
}

/** What stands where a statement was left out. */
export const NOTHING = '{}'

/** A statement's range with its semicolon. */
export function withSemicolon({ start, end }: Range, text: string): Range {
  return { start, end: text[end] === ';' ? end + 1 : end }
}

const dropped = (node: Node, operator: string, text: string): Edit => ({
  operator,
  range: withSemicolon(rangeOf(node), text),
  text: NOTHING,
})

/** Whether it assigns a storage pointer: without that its variable is unset, which does not compile. */
function pointsStorage(node: Node): boolean {
  const target = child(node, 'leftHandSide')
  return target !== undefined && typeOf(target).endsWith(' storage pointer')
}

/** Swaps the operator's token that stands somewhere in `between`. */
function token(between: Range, from: string, to: string, operator: string, text: string): Edit[] {
  const at = text.slice(between.start, between.end).indexOf(from)
  if (at < 0) return []
  const start = between.start + at
  return [{ operator, range: { start, end: start + from.length }, text: to }]
}

function binary(node: Node, text: string): Edit[] {
  const [left, right] = [child(node, 'leftExpression')!, child(node, 'rightExpression')!]
  const between = { start: rangeOf(left).end, end: rangeOf(right).start }
  const sign = String(node['operator'])
  const edits: Edit[] = []
  const swap = (table: Record<string, string>, operator: string) => {
    const to = table[sign]
    if (to !== undefined) edits.push(...token(between, sign, to, operator, text))
  }
  swap(boundaries, 'boundary')
  swap(opposites, 'opposite')
  swap(swaps, 'operator')
  if (sign === '&&' || sign === '||')
    for (const side of [left, right])
      edits.push({ operator: 'dropped operand', range: rangeOf(node), text: textOf(side, text) })
  return edits
}

function assignment(node: Node, text: string): Edit[] {
  const [left, right] = [child(node, 'leftHandSide')!, child(node, 'rightHandSide')!]
  const between = { start: rangeOf(left).end, end: rangeOf(right).start }
  const sign = String(node['operator'])
  const to = swaps[sign]
  return to === undefined
    ? []
    : [
        ...token(between, sign, to, 'operator', text),
        ...token(between, sign, '=', 'operator', text),
      ]
}

function unary(node: Node, text: string): Edit[] {
  const sign = String(node['operator'])
  const operand = child(node, 'subExpression')!
  if (sign === '!' || sign === '~' || sign === '-') {
    const operator = sign === '!' ? 'opposite' : 'sign'
    return [{ operator, range: rangeOf(node), text: textOf(operand, text) }]
  }
  const to = swaps[sign]
  if (to === undefined) return []
  const [whole, inner] = [rangeOf(node), rangeOf(operand)]
  const between =
    node['prefix'] === true
      ? { start: whole.start, end: inner.start }
      : { start: inner.end, end: whole.end }
  return token(between, sign, to, 'operator', text)
}

function literal(node: Node, text: string): Edit[] {
  const range = rangeOf(node)
  switch (node['kind']) {
    case 'bool':
      return [{ operator: 'constant', range, text: node['value'] === 'true' ? 'false' : 'true' }]
    case 'number': {
      const digits = textOf(node, text)
      if (!/^(0x[0-9a-fA-F]+|[0-9_]+)$/.test(digits)) {
        // Such as "1 days" or "1e18".
        return [{ operator: 'constant', range, text: `(${digits} + 1)` }]
      }
      const value = BigInt(digits.replaceAll('_', ''))
      const near = value === 0n ? [1n] : [value + 1n, value - 1n]
      return near.map((each) => ({ operator: 'constant', range, text: each.toString() }))
    }
    case 'string':
      return node['value'] === '' ? [] : [{ operator: 'constant', range, text: '""' }]
    default:
      return []
  }
}

/** `type(T).max` and `.min`. */
function limit(node: Node, text: string): Edit[] {
  const name = String(node['memberName'])
  const expression = child(node, 'expression')
  if (expression === undefined || (name !== 'max' && name !== 'min')) return []
  if (!textOf(expression, text).startsWith('type(')) return []
  const { end } = rangeOf(node)
  const range = { start: end - name.length, end }
  return [{ operator: 'constant', range, text: name === 'max' ? 'min' : 'max' }]
}

function conditional(node: Node, text: string): Edit[] {
  const parts = ['condition', 'falseExpression', 'trueExpression'].map((key) => child(node, key)!)
  const [condition, no, yes] = parts.map((part) => textOf(part, text))
  return [
    {
      operator: 'swapped argument',
      range: rangeOf(node),
      text: `${condition} ? ${no} : ${yes}`,
    },
  ]
}

/** Swaps neighbours of one type, and turns the sign of what becomes a signed integer. */
function call(node: Node, text: string): Edit[] {
  const list = children(node, 'arguments')
  const edits: Edit[] = []
  for (const [index, left] of list.entries()) {
    const right = list
      .slice(index + 1)
      .find(
        (other) => typeIdOf(other) === typeIdOf(left) && textOf(other, text) !== textOf(left, text),
      )
    if (right === undefined) continue
    const range = { start: rangeOf(left).start, end: rangeOf(right).end }
    const between = text.slice(rangeOf(left).end, rangeOf(right).start)
    const swapped = textOf(right, text) + between + textOf(left, text)
    edits.push({ operator: 'swapped argument', range, text: swapped })
  }
  if (node['kind'] === 'typeConversion' && typeOf(node) === 'int256')
    edits.push({ operator: 'sign', range: rangeOf(node), text: `-${textOf(node, text)}` })
  return edits
}

const relations = new Set(Object.keys(opposites))

/** A condition that is no comparison (those have their opposites), negated. */
function condition(node: Node, text: string): Edit[] {
  const root = child(node, 'condition')!
  if (relations.has(String(root['operator'])) || root['operator'] === '!') return []
  return [{ operator: 'opposite', range: rangeOf(root), text: `!(${textOf(root, text)})` }]
}

function fixed(node: Node, operator: string, value: 'true' | 'false'): Edit[] {
  const root = child(node, 'condition')
  return root === undefined ? [] : [{ operator, range: rangeOf(root), text: value }]
}

/** A return that is left out, or whose truth is turned where no operator of its own does so. */
function returned(node: Node, text: string): Edit[] {
  const expression = child(node, 'expression')
  const edits: Edit[] = [dropped(node, 'dropped statement', text)]
  if (
    expression !== undefined &&
    typeOf(expression) === 'bool' &&
    expression.nodeType !== 'Literal' &&
    !relations.has(String(expression['operator']))
  )
    edits.push({
      operator: 'opposite',
      range: rangeOf(expression),
      text: `!(${textOf(expression, text)})`,
    })
  return edits
}
