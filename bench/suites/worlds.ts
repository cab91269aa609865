import type { Bench, Row } from '../harness.ts'
import { BACKENDS } from '../worlds/backends.ts'
import { measure, type Measured } from '../worlds/measure.ts'
import { measureBoot, measureReady } from '../worlds/microvm.ts'
import { matrix, rowsOf } from '../worlds/table.ts'
import { measureVerses } from '../worlds/verses.ts'
import { measureWarm } from '../worlds/warm.ts'

export const bench: Bench = {
  name: 'worlds',
  summary:
    'create, snapshot, branch, execute, verify, merge: every backend beside vendors’ figures',
  run: async ({ args, note }) => {
    const unknown = args.find((name) => BACKENDS.every(({ id }) => id !== name))
    if (unknown !== undefined) throw new RangeError(`no backend ${unknown}`)
    const rows: Row[] = []
    const all: Measured[] = []
    const skipped: string[] = []
    for (const backend of BACKENDS) {
      if (args.length > 0 && !args.includes(backend.id)) continue
      const missing = await backend.missing()
      if (missing !== null) {
        skipped.push(`${backend.id}: ${missing}`)
        continue
      }
      const measured = await measure(backend, note)
      all.push(measured)
      rows.push(...rowsOf(measured, backend))
      if (backend.bootsSlowly) rows.push(await measureWarm(backend, note))
      if (backend.id === 'quickjs') rows.push(...(await measureVerses(note)))
      if (backend.id === 'microvm')
        rows.push(await measureBoot(note), ...(await measureReady(note)))
    }
    return { rows, above: matrix(all), skipped }
  },
}
