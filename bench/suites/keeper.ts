import { parseArgs } from 'node:util'
import type { Bench, Row } from '../harness.ts'
import { measureCold } from '../keeper/cold.ts'
import { measureDurability } from '../keeper/durability.ts'
import { measureLight } from '../keeper/light.ts'
import { measureReorg } from '../keeper/reorg.ts'
import { measureStore } from '../keeper/store.ts'
import { measureSustained } from '../keeper/sustained.ts'

/** How long a stream of partitions must be borne. */
const SECONDS = '300'
/** A little more than the keeper has to bear. */
const RATE = '21'
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
        /** Partitions a second in it. */
        rate: { type: 'string', default: RATE },
        /** Settled partitions at a cold start. */
        settled: { type: 'string', default: SETTLED },
        /** Parts to run, with commas between; all of them without it. */
        only: { type: 'string' },
      },
    })
    const seconds = whole('seconds', values.seconds)
    const rate = whole('rate', values.rate)
    const settled = whole('settled', values.settled)
    const parts: Record<string, () => Promise<Row[]>> = {
      light: () => measureLight(note),
      reorg: () => measureReorg(note),
      store: () => measureStore(note),
      durability: () => measureDurability(note),
      cold: () => measureCold(settled, note),
      sustained: () => measureSustained(seconds, rate, note),
    }
    const wanted = values.only?.split(',') ?? Object.keys(parts)
    const rows: Row[] = []
    for (const name of wanted) {
      const part = Object.hasOwn(parts, name) ? parts[name] : undefined
      if (part === undefined)
        throw new RangeError(`--only takes some of ${Object.keys(parts).join(',')}, not ${name}`)
      rows.push(...(await part()))
    }
    return rows
  },
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`--${name} takes a whole number from 1, not ${text}`)
  return value
}
