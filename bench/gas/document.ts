import { readFile, writeFile } from 'node:fs/promises'
import type { Measurement } from './measure.ts'
import { plotCurve } from './plot.ts'
import { curveOf, rowsOf } from './rows.ts'

const folder = new URL('../../docs/', import.meta.url)
const BEGIN = '<!-- table: npm run bench -- gas --docs -->'
const END = '<!-- end of table -->'

/** Brings the table of `docs/gas.md` and `docs/gas.svg` up to date. */
export async function writeDocument(measurements: readonly Measurement[]): Promise<void> {
  const file = new URL('gas.md', folder)
  await writeFile(file, replaceTable(await readFile(file, 'utf8'), markdownOf(measurements)))
  await writeFile(new URL('gas.svg', folder), await plotCurve(curveOf(measurements)))
}

/** `text` with what stands between the table's marks replaced. @throws Error when there are no marks. */
export function replaceTable(text: string, markdown: string): string {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (from < 0 || to < from) throw new Error('docs/gas.md has lost the marks of its table')
  return `${text.slice(0, from + BEGIN.length)}\n\n${markdown}\n\n${text.slice(to)}`
}

/** The bench's rows as a Markdown table. */
export function markdownOf(measurements: readonly Measurement[]): string {
  const head = ['operation', 'ledger', 'target', 'floor', 'CTF', '± s.e.', 'ledger/CTF', 'plain']
  const lines = rowsOf(measurements).map(({ name, value, target, beside = {} }) => {
    const cell = (heading: string) => {
      const content = beside[heading] ?? ''
      return typeof content === 'number' ? content.toLocaleString('en-US') : content
    }
    return [
      name,
      value.toLocaleString('en-US'),
      target?.value.toLocaleString('en-US') ?? '',
      cell('floor'),
      cell('CTF'),
      cell('CTF ±'),
      cell('to CTF'),
      cell('plain'),
    ]
  })
  const widths = head.map((text, column) =>
    Math.max(text.length, ...lines.map((line) => line[column]!.length)),
  )
  const row = (line: readonly string[]) =>
    `| ${line.map((text, column) => (column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!))).join(' | ')} |`
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  )
  return [row(head), row(rule), ...lines.map((line) => row(line))].join('\n')
}
