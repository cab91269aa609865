import { selectMode } from '../../providers/select.ts'
import type { PlanOutput } from '../../sdk/output.ts'
import { type Result, table } from '../output.ts'

/** Shows the plan of a mode; nothing is done. Exit code 1 when its trits do not come to 0. */
export function verseSelectVerb(mode: string): Result<PlanOutput> {
  const { members, sum, conserved } = selectMode(mode)
  const rows = members.map(({ id, trit }, place) => [`${place + 1}`, id, signed(trit)])
  return {
    json: { mode, members: [...members], sum, conserved },
    text: `${table(rows, ['', 'provider', 'trit'])}\nΣ = ${sum} ${conserved ? '✓' : '✗'}`,
    exitCode: conserved ? 0 : 1,
  }
}

/** A trit as people write it. */
export function signed(trit: number): string {
  return trit > 0 ? `+${trit}` : `${trit}`
}
