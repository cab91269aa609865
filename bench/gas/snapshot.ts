import { readFile, writeFile } from 'node:fs/promises'
import { measure } from './measure.ts'
import { rowsOf } from './rows.ts'

/** Committed gas of the ledger's operations; more than 1 % above it fails the tests. */
const file = new URL('../gas.snapshot.json', import.meta.url)

/** Gas by operation. */
export type Snapshot = Record<string, number>

/** Conditions that a snapshot is the mean of: the ledger's cost moves by calldata bytes that are 0 or not, no more. */
const CONDITIONS = 4

/** Measures the ledger alone as the committed snapshot was. */
export async function takeSnapshot(): Promise<Snapshot> {
  const rows = rowsOf(await measure({ ledger: CONDITIONS, conditionalTokens: 0, plain: 0 }))
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
}

/** The committed snapshot. */
export async function readSnapshot(): Promise<Snapshot> {
  return JSON.parse(await readFile(file, 'utf8')) as Snapshot
}

/** Replaces the committed snapshot. */
export async function writeSnapshot(snapshot: Snapshot): Promise<void> {
  await writeFile(file, `${JSON.stringify(snapshot, null, 2)}\n`)
}

/** The operations that cost over 1 % more than in the committed snapshot. */
export function regressions(
  committed: Snapshot,
  now: Snapshot,
): { operation: string; was: number; is: number }[] {
  return Object.entries(now)
    .map(([operation, is]) => ({ operation, was: committed[operation] ?? 0, is }))
    .filter(({ was, is }) => is > was * 1.01)
}
