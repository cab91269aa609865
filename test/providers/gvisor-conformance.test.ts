import { describe } from 'vitest'
import { createGvisorProvider } from '../../providers/gvisor/provider.ts'
import { describeWithEngine, findGvisor } from '../helpers/engines.ts'
import { conformance } from './conformance.ts'
import { python } from './python.ts'

describeWithEngine('gvisor', await findGvisor(), () => {
  describe('conformance', () => {
    conformance({ create: async () => createGvisorProvider(), dialect: python })
  })
})
