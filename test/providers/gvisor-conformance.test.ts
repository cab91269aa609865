import { describe } from 'vitest'
import { createGvisorProvider } from '../../providers/gvisor/provider.ts'
import { describeWithEngine, findGvisor } from '../helpers/engines.ts'
import { conformance } from './conformance.ts'
import { overSocket } from './overSocket.ts'
import { python } from './python.ts'

const isDeep = process.env['DEEP'] === '1'

describeWithEngine('gvisor', await findGvisor(), () => {
  describe('conformance', () => {
    conformance({ create: async () => createGvisorProvider(), dialect: python })
  })
  describe.runIf(isDeep)('conformance over a socket', () => {
    const create = overSocket(() => createGvisorProvider())
    conformance({ create, dialect: python, isHeardLate: true })
  })
})
