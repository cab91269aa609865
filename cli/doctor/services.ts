import { connect } from 'node:net'
import { createClient, http } from 'viem'
import { assertDeployedOn, type Provider, readChainId } from '../../deploy/identity.ts'
import { ROSTER } from '../../providers/roster.ts'
import { isMultiverseError, oneLine } from '../../sdk/errors.ts'
import { readDeployment } from '../../sdk/node/data.ts'
import { type Finding, found, lacking } from './finding.ts'

type Environment = Record<string, string | undefined>

const ANSWER_MS = 5_000
/** Asks a Postgres whether it speaks TLS. Each answers with one letter, before anybody has to say who he is. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const POSTGRES_PORT = 5432

/** The databases that are named, if any; none is needed. */
export function checkDatabases(env: Environment): Promise<Finding[]> {
  const named = ['KEEPER_DATABASE_URL', 'INDEXER_DATABASE_URL'].filter((name) => env[name])
  return Promise.all(named.map((name) => checkPostgres(name, env[name] ?? '')))
}

async function checkPostgres(name: string, value: string): Promise<Finding> {
  const subject = { id: name, name: 'Postgres', required: true }
  const url = URL.parse(value)
  // Its value may hold a password.
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol))
    return lacking(subject, `${name} is no Postgres URL`, `export ${name}=postgres://HOST/DATABASE`)
  const port = Number(url.port || POSTGRES_PORT)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1') || 'localhost'
  try {
    await answersAsPostgres(host, port)
    return found(subject, `${name}: a Postgres answers at ${host}:${port}`)
  } catch (error) {
    const why = `${name}: none answers at ${host}:${port}: ${oneLine(error)}`
    return lacking(subject, why, `start it, or unset ${name} to use a file instead`)
  }
}

function answersAsPostgres(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port }, () => socket.write(SSL_REQUEST))
    const end = (error?: Error) => {
      socket.destroy()
      if (error === undefined) resolve()
      else reject(error)
    }
    socket.setTimeout(ANSWER_MS, () => end(new Error('no answer in time')))
    socket.on('error', end)
    socket.on('close', () => end(new Error('it hung up')))
    socket.once('data', (data) =>
      end(/^[SN]/.test(data.toString('latin1')) ? undefined : new Error('it speaks otherwise')),
    )
  })
}

/** The chain that is named or that runs: whether it answers, and whether the deployment on record is on it. */
export async function checkChain(dataDir: string, url: string | undefined): Promise<Finding[]> {
  if (url === undefined) return []
  const subject = { id: 'rpc', name: 'chain RPC', required: true }
  const transport = http(url, { retryCount: 0, timeout: ANSWER_MS })
  const provider = createClient({ transport }) as Provider
  // The rest of a URL may be a secret.
  const host = URL.parse(url)?.host ?? 'the URL given'
  try {
    const chainId = await readChainId(provider)
    const deployment = await readDeployment(dataDir).catch((error: unknown) => {
      if (isMultiverseError(error, 'NO_DEPLOYMENT')) return undefined
      throw error
    })
    if (deployment === undefined)
      return [found(subject, `chain ${chainId} answers at ${host}; no deployment on record`)]
    await assertDeployedOn(provider, deployment)
    return [found(subject, `chain ${chainId} answers at ${host} and has the deployment`)]
  } catch (error) {
    const isSilent = isMultiverseError(error, 'RPC_FAILED')
    return [
      lacking(
        subject,
        `${host}: ${oneLine(error)}`,
        isSilent
          ? 'start the chain, or name another with --rpc'
          : 'name the chain of the data folder with --rpc',
      ),
    ]
  }
}

/** What the remote vendors ask for, by the names of the variables and never by their values. */
export function checkCredentials(env: Environment): Finding[] {
  return ROSTER.filter(({ kind }) => kind === 'remote').map(({ id, name, credentials }) => {
    const subject = { id, name: name.split(' ', 1)[0] ?? name, required: false }
    const missing = credentials.filter((variable) => !env[variable])
    return missing.length === 0
      ? found(subject, `${credentials.join(', ')} set`)
      : lacking(
          subject,
          `${missing.join(', ')} not set`,
          `export ${missing.map((variable) => `${variable}=...`).join(' ')}`,
        )
  })
}
