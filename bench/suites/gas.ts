import { measureLedgerGas } from '../gas.ts'
import type { Bench } from '../harness.ts'

export const bench: Bench = {
  name: 'gas',
  summary: "the ledger's own gas, whole transactions",
  run: () => measureLedgerGas(),
}
