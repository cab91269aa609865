import { parseArgs } from 'node:util'
import type { Bench } from '../harness.ts'
import { measureCold } from '../keeper/cold.ts'
import { measureLight } from '../keeper/light.ts'
import { measureReorg } from '../keeper/reorg.ts'
import { measureStore } from '../keeper/store.ts'
import { measureSustained } from '../keeper/sustained.ts'

/** How long a stream of partitions must be borne. */
const SECONDS = '300'
/** How many settled partitions must not delay a start. */
const SETTLED = '10000'

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
        /** Settled partitions at a cold start. */
        settled: { type: 'string', default: SETTLED },
      },
    })
    const seconds = whole('seconds', values.seconds)
    const settled = whole('settled', values.settled)
    return [
      ...(await measureLight(note)),
      ...(await measureReorg(note)),
      ...(await measureStore(note)),
      ...(await measureCold(settled, note)),
      ...(await measureSustained(seconds, note)),
    ]
  },
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`--${name} takes a whole number from 1, not ${text}`)
  return value
}
