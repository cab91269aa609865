import { createGvisorProvider } from '../../providers/gvisor/provider.ts'
import { describeWithEngine, findGvisor } from '../helpers/engines.ts'
import { python } from './python.ts'
import { conformanceBy } from './transports.ts'

const crowd = process.env['DEEP'] === '1' ? 64 : 8

describeWithEngine('gvisor', await findGvisor(), () => {
  const make = () => createGvisorProvider()
  conformanceBy({ 'over a unix socket': { crowd } }, make, { dialect: python })
})
