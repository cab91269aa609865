import type { Address, Hex } from 'viem'
import { childPaths, type Path, verseId } from '../../sdk/ids.ts'
import type { Pull, Split } from '../store/redemptions.ts'

// Which pull-ups take an owner's winners up to ROOT, decided from what is answered and what the owner has.

/** Deeper verses are left to their owners: a verse has as many ancestors as its answers have subsets. */
const MAX_DEPTH = 6

/**
 * The verses that are certain, because all of their answers were given: those of these partitions, and every one in between
 * them and ROOT, as an owner may have stripped answers in any order.
 */
export function certainVerses(splits: readonly Split[], winners: ReadonlyMap<Hex, number>): Path[] {
  const verses = new Map<Hex, Path>()
  const add = (verse: Path): void => {
    const id = verseId(verse)
    if (verse.length === 0 || verses.has(id)) return
    verses.set(id, verse)
    for (const { question } of verse) add(without(verse, question))
  }
  for (const { path, question } of splits)
    if (path.length < MAX_DEPTH)
      for (const child of childPaths(path, question))
        if (child.every((each) => winners.get(each.question) === each.outcome)) add(child)
  return [...verses.values()]
}

/**
 * The pull-ups that bring all that an owner has of a token in certain verses to ROOT, deepest first: each takes along what those
 * before it brought.
 * @param balances by verse, in the token's smallest unit
 */
export function exitsOf(
  owner: Address,
  token: Address,
  verses: readonly Path[],
  balances: ReadonlyMap<Hex, bigint>,
): Pull[] {
  const held = new Map(balances)
  const pulls: Pull[] = []
  for (const verse of verses.toSorted((a, b) => b.length - a.length)) {
    const amount = held.get(verseId(verse)) ?? 0n
    const [last] = verse.slice(-1)
    if (amount === 0n || last === undefined) continue
    const path = without(verse, last.question)
    pulls.push({ owner, path, question: last.question, token, amount })
    held.set(verseId(path), (held.get(verseId(path)) ?? 0n) + amount)
  }
  return pulls
}

function without(verse: Path, question: Hex): Path {
  return verse.filter((answer) => answer.question !== question)
}
