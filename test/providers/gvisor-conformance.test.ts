import { createGvisorProvider } from '../../providers/gvisor/provider.ts'
import { describeWithEngine, findGvisor } from '../helpers/engines.ts'
import { python } from './python.ts'
import { conformanceBy } from './transports.ts'

const crowd = process.env['DEEP'] === '1' ? 64 : 16

// Over a socket: gvisor-socket.test.ts, which runs beside this.
describeWithEngine('gvisor', await findGvisor(), () => {
  conformanceBy({ 'in process': { crowd } }, () => createGvisorProvider(), { dialect: python })
})
