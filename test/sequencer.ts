import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, mostly waiting: begun last they would run alone at the end. */
const LONGEST = [
  'keeper/crash',
  'keeper/postgres',
  'keeper/surroundings',
  'keeper/hostile',
  'keeper/badWorlds',
  'keeper/redeem',
  'keeper/process',
  'keeper/refusals',
  'indexer/histories',
  'indexer/warehouse',
  'indexer/crash',
  'indexer/surroundings',
  'indexer/postgres',
  'ledger/differential',
  'e2e/stack',
  'deploy/running',
  'deploy/network',
  'e2e/demo',
  'cli/verbs',
].map((name) => `/test/${name}.test.ts`)

/** Begins with the longest files, as listed; the others come in vitest's own order, by what they took before or by their size. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- it is the sequencer's own
    const sorted = await super.sort(files)
    const place = ({ moduleId }: TestSpecification) => {
      const found = LONGEST.findIndex((name) => moduleId.endsWith(name))
      return found === -1 ? LONGEST.length : found
    }
    return sorted.toSorted((a, b) => place(a) - place(b))
  }
}
