import { oneLine } from '../../sdk/errors.ts'
import { createProvider } from '../registry.ts'
import { formatAddress, parseAddress } from './address.ts'
import { serveProvider } from './server.ts'

// `node providers/wrpc/main.ts PROVIDER ADDRESS` serves a provider in a process of its own until it is told to stop, or its
// standard input ends: a process that was started for another's sake ends with it. Says where in one line of output.

const [id = '', address = ''] = process.argv.slice(2)
try {
  const provider = await createProvider(id)
  const served = await serveProvider(provider, parseAddress(address))
  let isStopping = false
  const stop = async () => {
    if (isStopping) return
    isStopping = true
    await served.close()
    await provider.shutdown()
    process.exit()
  }
  process.once('SIGTERM', () => void stop())
  process.once('SIGINT', () => void stop())
  process.stdin.once('end', () => void stop())
  process.stdin.resume()
  console.log(formatAddress(served.address))
} catch (error) {
  console.error(`error: ${oneLine(error)}`)
  process.exit(1)
}
