import { buildModule } from '@nomicfoundation/ignition-core'
import { multiverseModule } from './Multiverse.ts'

/** The multiverse with an ERC-20 that anybody can mint: for local chains. */
export const demoModule = buildModule('Demo', (m) => {
  const { multiverse, worlds } = m.useModule(multiverseModule)
  const token = m.contract('TestToken', ['Multiverse Dollar', 'mUSD', 18])
  return { multiverse, worlds, token }
})
