import { describe } from 'vitest'
import { createMicrovmProvider } from '../../providers/microvm/provider.ts'
import { describeWithEngine, findMicrovm } from '../helpers/engines.ts'
import { conformance } from './conformance.ts'
import { javascript } from './javascript.ts'
import { python } from './python.ts'
import { conformanceBy } from './transports.ts'

const isDeep = process.env['DEEP'] === '1'
const crowd = (everyday: number) => (isDeep ? 64 : everyday)

describeWithEngine('microvm', await findMicrovm(), () => {
  conformanceBy(
    { 'in process': { crowd: crowd(16) }, 'over a unix socket': { crowd: crowd(8) } },
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
