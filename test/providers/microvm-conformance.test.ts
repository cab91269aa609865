import { describe } from 'vitest'
import { createMicrovmProvider } from '../../providers/microvm/provider.ts'
import { describeWithEngine, findMicrovm } from '../helpers/engines.ts'
import { conformance } from './conformance.ts'
import { javascript } from './javascript.ts'
import { python } from './python.ts'
import { conformanceBy } from './transports.ts'

const isDeep = process.env['DEEP'] === '1'
/** What a crowd takes on its way over a socket is the same for every backend. */
const crowd = isDeep ? 64 : 8

describeWithEngine('microvm', await findMicrovm(), () => {
  conformanceBy(
    { 'in process': {}, 'over a unix socket': { crowd } },
    () => createMicrovmProvider({ entropy: 'recorded' }),
    { dialect: javascript },
  )
  describe.runIf(isDeep)('conformance in Python, with processes kept ready', () => {
    conformance({
      create: async () => createMicrovmProvider({ language: 'python', spares: 2 }),
      dialect: python,
    })
  })
})
