import { describe } from 'vitest'
import { detectMicrovm } from '../../providers/microvm/detect.ts'
import { createMicrovmProvider } from '../../providers/microvm/provider.ts'
import { describeWithEngine } from '../helpers/engines.ts'
import { conformance } from './conformance.ts'
import { javascript } from './javascript.ts'
import { python } from './python.ts'

describeWithEngine('microvm', await detectMicrovm(), () => {
  describe('conformance in JavaScript, replayable', () => {
    conformance({
      create: async () => createMicrovmProvider({ entropy: 'recorded' }),
      dialect: javascript,
    })
  })
  describe('conformance in Python, with ready processes', () => {
    conformance({
      create: async () => createMicrovmProvider({ language: 'python', spares: 2 }),
      dialect: python,
    })
  })
})
