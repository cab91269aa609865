import { wrap } from './output.ts'

/** A line of a tree and what is below it. */
export type Branch = { text: string; children: Branch[] }

/** However deep in a tree, a line is given so many columns. */
const MIN_TEXT = 20

/** Draws branches below one another, each no wider than `width` where the depth allows. */
export function drawBranches(branches: readonly Branch[], width: number, guides = ''): string[] {
  return branches.flatMap(({ text, children }, index) => {
    const isLast = index === branches.length - 1
    const below = guides + (isLast ? '   ' : '│  ')
    const [first = '', ...rest] = wrap(text, Math.max(MIN_TEXT, width - below.length)).split('\n')
    // What a text goes on with stands beside the guide to its children.
    const beside = below + (children.length > 0 ? '│  ' : '')
    const room = Math.max(MIN_TEXT, width - beside.length)
    return [
      guides + (isLast ? '└─ ' : '├─ ') + first,
      ...wrap(rest.join(' '), room)
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => beside + line.trimStart()),
      ...drawBranches(children, width, below),
    ]
  })
}
