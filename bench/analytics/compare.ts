// Whether two databases gave the same rows, each in its own way of writing values.

type Cell = unknown

/** A fingerprint of rows in whatever order; null cells where either has a list or a document, which each writes in its own way. */
export function fingerprint(rows: readonly (readonly Cell[])[]): string {
  return rows
    .map((row) => row.map((cell) => plain(cell)).join('|'))
    .toSorted()
    .join('\n')
}

/** Numbers to six digits: floats are added in whatever order. */
function plain(cell: Cell): string {
  if (cell === null || cell === undefined) return ''
  if (typeof cell === 'boolean') return cell ? 't' : 'f'
  if (typeof cell === 'object') return '…'
  const text = typeof cell === 'string' ? cell : JSON.stringify(cell)
  if (/^[[{(]/.test(text)) return '…'
  if (/^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(text)) return `${+Number(text).toPrecision(6)}`
  return text.replace(/^(\d{4}-\d\d-\d\d) 00:00:00$/, '$1')
}
