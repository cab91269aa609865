import type { Bench } from '../harness.ts'
import { measureWorlds } from '../worlds.ts'

export const bench: Bench = {
  name: 'worlds',
  summary: 'snapshot, branch, execute: what a QuickJS world costs',
  run: ({ note }) => measureWorlds(note),
}
