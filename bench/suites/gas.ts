import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { writeDocument } from '../gas/document.ts'
import { measure } from '../gas/measure.ts'
import { plotCurve } from '../gas/plot.ts'
import { curveOf, rowsOf } from '../gas/rows.ts'
import { takeSnapshot, writeSnapshot } from '../gas/snapshot.ts'
import type { Bench } from '../harness.ts'

// Conditional Tokens hashes to a curve by trial, so its gas is random by condition: a mean needs many of them.
const CONDITIONS = '150'

export const bench: Bench = {
  name: 'gas',
  summary:
    'this ledger, Conditional Tokens and a plain ERC-6909 ledger side by side, whole transactions',
  async run({ args, note }) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        /** Conditions each system gets. */
        conditions: { type: 'string', default: CONDITIONS },
        /** Where to write the plot. */
        svg: { type: 'string' },
        /** Bring docs/gas.md and its plot up to date. */
        docs: { type: 'boolean', default: false },
        /** Replace bench/gas.snapshot.json with what is measured now. */
        snapshot: { type: 'boolean', default: false },
      },
    })
    const count = Number(values.conditions)
    if (!Number.isSafeInteger(count) || count < 1)
      throw new Error(`--conditions takes a whole number from 1, not ${values.conditions}`)

    const measurements = await measure(
      { ledger: count, conditionalTokens: count, plain: count },
      note,
    )
    if (values.svg !== undefined)
      await writeFile(values.svg, await plotCurve(curveOf(measurements)))
    if (values.docs) await writeDocument(measurements)
    if (values.snapshot) await writeSnapshot(await takeSnapshot())
    return rowsOf(measurements)
  },
}
