import { parseArgs } from 'node:util'
import type { Bench } from '../harness.ts'
import { measureLight } from '../keeper/light.ts'
import { measureReorg } from '../keeper/reorg.ts'
import { measureStore } from '../keeper/store.ts'
import { measureSustained } from '../keeper/sustained.ts'

/** How long a stream of partitions must be borne. */
const SECONDS = '300'

export const bench: Bench = {
  name: 'keeper',
  summary:
    'block to report, a stream of partitions, cold start, reorganisations, the price of books',
  async run({ args, note }) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        /** Length of the stream. */
        seconds: { type: 'string', default: SECONDS },
      },
    })
    const seconds = Number(values.seconds)
    if (!Number.isSafeInteger(seconds) || seconds < 1)
      throw new RangeError(`--seconds takes a whole number from 1, not ${values.seconds}`)
    return [
      ...(await measureLight(note)),
      ...(await measureReorg(note)),
      ...(await measureStore(note)),
      ...(await measureSustained(seconds, note)),
    ]
  },
}
