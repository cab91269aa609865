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
  'deploy/network',
  'deploy/running',
].map((name) => `/test/${name}.test.ts`)

/** Begins with the longest files; the others come in vitest's own order, by what they took before or by their size. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- it is the sequencer's own
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) =>
      LONGEST.some((name) => moduleId.endsWith(name))
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}
