import { createGvisorProvider } from '../../providers/gvisor/provider.ts'
import { describeWithEngine, findGvisor } from '../helpers/engines.ts'
import { python } from './python.ts'
import { conformanceBy } from './transports.ts'

/** What a crowd takes on its way over a socket is the same for every backend. */
const crowd = process.env['DEEP'] === '1' ? 64 : 8

describeWithEngine('gvisor', await findGvisor(), () => {
  conformanceBy(
    { 'in process': {}, 'over a unix socket': { crowd } },
    () => createGvisorProvider(),
    { dialect: python },
  )
})
