import { type Address, type Hex, numberToHex } from 'viem'
import { childPaths, type Path, positionId, verseId } from '../sdk/ids.ts'

/** A verse as the tables keep it; `parent`, `question` and `outcome` are canonical and null for ROOT. */
export type VerseRow = {
  id: Hex
  parent: Hex | null
  question: Hex | null
  outcome: number | null
  depth: number
  path: { question: Hex; outcome: number }[]
}

/** The row of the verse with this path. */
export function verseRow(path: Path): VerseRow {
  const last = path.at(-1)
  return {
    id: verseId(path),
    parent: last === undefined ? null : verseId(path.slice(0, -1)),
    question: last?.question ?? null,
    outcome: last?.outcome ?? null,
    depth: path.length,
    path: path.map(({ question, outcome }) => ({ question, outcome })),
  }
}

/**
 * Every verse that a partition names: the parent and all children, each with its canonical ancestors, without repeats,
 * ancestors first. `children` are indexed by outcome, ruled out or not.
 */
export function partitionVerses(
  path: Path,
  question: Hex,
): { all: VerseRow[]; parent: VerseRow; children: VerseRow[] } {
  const rows = new Map<Hex, VerseRow>()
  const withAncestors = (of: Path): VerseRow => {
    for (let depth = 1; depth <= of.length; depth++) {
      const row = verseRow(of.slice(0, depth))
      rows.set(row.id, row)
    }
    return verseRow(of)
  }
  const parent = withAncestors(path)
  const children = childPaths(path, question).map((child) => withAncestors(child))
  return { all: [...rows.values()], parent, children }
}

/** The position of `token` in `verse`, as 32-byte hex. */
export function positionHex(verse: Hex, token: Address): Hex {
  return wordHex(positionId(verse, token))
}

/** An unsigned integer as 32-byte hex. */
export function wordHex(value: bigint): Hex {
  return numberToHex(value, { size: 32 })
}
