import { stripVTControlCharacters, styleText } from 'node:util'
import stringWidth from 'string-width'
import wrapAnsi from 'wrap-ansi'

/** What a verb comes to: one JSON value for programs, typed in sdk/output.ts, and text for people. */
export type Result<T = unknown> = {
  json: T
  text: string
  /** Overrides the exit code 0: for a run that ended but did not hold what it claims. */
  exitCode?: number
  /** The text is data, such as CSV: it is printed as it is, however wide the terminal. */
  isRaw?: boolean
}

/** Lines about what is being done, on standard error: rewritten in place on a terminal, plain elsewhere. */
export type Progress = {
  /** Something was done or noticed. */
  say: (line: string) => void
  /** Something begins; the next line takes its place on a terminal. */
  begin: (line: string) => void
  /** Leaves the terminal's last line clean. */
  end: () => void
}

/** Progress on a stream. */
export function createProgress(stream: NodeJS.WriteStream): Progress {
  let isPending = false
  const clear = () => {
    if (isPending) stream.write('\r\u001b[K')
    isPending = false
  }
  return {
    say(line) {
      clear()
      stream.write(`${line}\n`)
    },
    begin(line) {
      if (!stream.isTTY) return
      clear()
      // Longer than the terminal is wide it would wrap, and could not be taken back. Some terminals are 0 wide.
      stream.write(`${line} ...`.slice(0, (stream.columns || 80) - 1))
      isPending = true
    },
    end: clear,
  }
}

/** A narrower terminal is written to as if it had so many columns. */
const MIN_WIDTH = 20

/** The columns there are for output: the terminal's, else COLUMNS, else any number. */
export function outputWidth(
  stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'> = process.stdout,
  columns: string | undefined = process.env['COLUMNS'],
): number {
  const width = (stream.isTTY && stream.columns) || Number(columns)
  return Number.isInteger(width) && width > 0 ? Math.max(width, MIN_WIDTH) : Infinity
}

/** The columns of help, which is prose: it is not made wider than can be read. */
export function helpWidth(): number {
  return Math.min(outputWidth(), 100)
}

type Style = 'bold' | 'dim' | 'green' | 'red'

/** Text in a colour, where standard output shows colours: on a terminal, and without NO_COLOR. */
export function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout })
}

/** A text from a stranger on one line, without anything that a terminal would obey. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
}

/** Lines no longer than `width`, broken between words where there are any; what follows a break is indented by `indent`. */
export function wrap(text: string, width: number, indent = 0): string {
  if (width === Infinity) return text
  return text
    .split('\n')
    .map((line) =>
      stringWidth(line) <= width
        ? line
        : wrapAnsi(line, width - indent, { hard: true, trim: false })
            .split('\n')
            .map((part, index) =>
              (index === 0 ? part : ' '.repeat(indent) + part.trimStart()).trimEnd(),
            )
            .join('\n'),
    )
    .join('\n')
}

/** Between columns. */
const GAP = 2
/** The fewest columns that a wrapped cell is given beside others; with fewer it goes below them. */
const MIN_CELL = 12

/**
 * Columns as wide as their widest cell, two spaces apart; a column of numbers is aligned to the right. On a terminal that is
 * too narrow nothing is cut off: the last column wraps, and a table with headers becomes one block a row.
 */
export function table(
  rows: readonly (readonly string[])[],
  headers?: readonly string[],
  width = outputWidth(),
): string {
  const all = headers === undefined ? rows : [headers, ...rows]
  const count = Math.max(0, ...all.map((row) => row.length))
  const columns = Array.from({ length: count }, (_, index) => ({
    width: Math.max(...all.map((row) => stringWidth(row[index] ?? ''))),
    isNumeric:
      rows.length > 0 &&
      rows.every((row) => /^-?[\d.]+$/.test(stripVTControlCharacters(row[index] ?? ''))),
  }))
  const total = columns.reduce((sum, column) => sum + column.width + GAP, -GAP)
  if (total > width && headers !== undefined)
    return rows
      .map((row) => {
        const named = headers.map((header, index) => [header, row[index] ?? ''])
        return table(named, undefined, width)
      })
      .join('\n\n')
  const lead = columns.slice(0, -1).reduce((sum, column) => sum + column.width + GAP, 0)
  return all
    .map((row, line) => {
      const cells = columns.map(({ width, isNumeric }, index) => {
        const cell = row[index] ?? ''
        const space = ' '.repeat(width - stringWidth(cell))
        return isNumeric ? space + cell : cell + space
      })
      const text = cells.join(' '.repeat(GAP)).trimEnd()
      if (headers !== undefined && line === 0) return paint('bold', text)
      if (stringWidth(text) <= width) return text
      const [head, last] = [cells.slice(0, -1).join(' '.repeat(GAP)).trimEnd(), cells.at(-1) ?? '']
      return width - lead >= MIN_CELL
        ? hang(head + ' '.repeat(lead - stringWidth(head)), last.trimEnd(), width, lead)
        : [wrap(head, width, GAP), hang(' '.repeat(GAP), last.trimEnd(), width, GAP)]
            .filter((part) => part.trim() !== '')
            .join('\n')
    })
    .join('\n')
}

/** `text` after `head`, wrapped into a column that begins at `indent`. */
function hang(head: string, text: string, width: number, indent: number): string {
  const [first = '', ...rest] = wrapAnsi(text, width - indent, { hard: true }).split('\n')
  return [head + first, ...rest.map((line) => ' '.repeat(indent) + line)].join('\n')
}
