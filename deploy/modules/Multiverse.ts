import { buildModule } from '@nomicfoundation/ignition-core'

/** The ledger and the keepers' notebook. */
export const multiverseModule = buildModule('Multiverse', (m) => {
  const multiverse = m.contract('Multiverse')
  const worlds = m.contract('Worlds', [multiverse])
  return { multiverse, worlds }
})
