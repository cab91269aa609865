import { messages, type PGlite, protocol } from '@electric-sql/pglite'

/** The one connection that PGlite is, spoken to in whole statements. They run in the caller's thread, to their end. */
export type Statements = {
  /**
   * Runs one statement with `$1` parameters and gives its rows, values parsed as PGlite does.
   * @throws DatabaseError of PGlite
   */
  run: <Row extends object>(sql: string, values?: readonly unknown[]) => Row[]
  /** Runs a command without parameters and rows. Gives what the server says that it did. @throws DatabaseError of PGlite */
  command: (sql: string) => string
}

type Prepared = { name: string; parameters: readonly number[]; fields: readonly messages.Field[] }

/** Statements that are kept prepared; what comes after is parsed each time. The programs here have about a hundred. */
const MAX_PREPARED = 512
/** Plans are made anew after so many runs: tables grow, and nothing else tells the planner of that. */
const RUNS_OF_A_PLAN = 4_096

const { serialize } = protocol

/**
 * Prepares every statement once and from then on only binds and executes it, in one message. PGlite's own `query` parses,
 * plans and describes each time, in five: the larger statements take it ten times as long.
 * @param guarded runs whatever is said to the database: see `endAtPanic`
 */
export function createStatements(
  pglite: PGlite,
  guarded: <T>(work: () => T) => T = (work) => work(),
): Statements {
  const kept = new Map<string, Prepared>()
  let runs = 0

  function send(...parts: Uint8Array[]): messages.BackendMessage[] {
    return guarded(() => {
      if (pglite.closed) throw new Error('the database is closed')
      const replies: messages.BackendMessage[] = []
      let error: unknown
      const answer = pglite.execProtocolRawSync(Buffer.concat(parts))
      new protocol.Parser().parse(answer, (reply) => {
        if (reply instanceof messages.DatabaseError) error ??= reply
        else replies.push(reply)
      })
      if (error !== undefined) throw error
      return replies
    })
  }

  function prepare(sql: string): Prepared {
    const name = kept.size < MAX_PREPARED ? `s${kept.size}` : ''
    const replies = send(
      serialize.parse({ name, text: sql }),
      serialize.describe({ type: 'S', name }),
      serialize.sync(),
    )
    const parameters = replies.find(
      (reply) => reply instanceof messages.ParameterDescriptionMessage,
    )
    const rows = replies.find((reply) => reply instanceof messages.RowDescriptionMessage)
    const prepared = {
      name,
      parameters: parameters?.dataTypeIDs ?? [],
      fields: rows?.fields ?? [],
    }
    if (name !== '') kept.set(sql, prepared)
    return prepared
  }

  function toText(value: unknown, type: number | undefined): string | null {
    if (value === null || value === undefined) return null
    const serializer = type === undefined ? undefined : pglite.serializers[type]
    if (serializer !== undefined) return serializer(value)
    return typeof value === 'string' ? value : JSON.stringify(value)
  }

  function toRow(values: readonly (string | null)[], fields: readonly messages.Field[]): object {
    return Object.fromEntries(
      fields.map(({ name, dataTypeID }, at) => {
        const value = values[at] ?? null
        const parser = pglite.parsers[dataTypeID]
        return [name, value === null || parser === undefined ? value : parser(value, dataTypeID)]
      }),
    )
  }

  return {
    run<Row extends object>(sql: string, values: readonly unknown[] = []) {
      if (++runs % RUNS_OF_A_PLAN === 0) send(serialize.query('discard plans'))
      const { name, parameters, fields } = kept.get(sql) ?? prepare(sql)
      const replies = send(
        serialize.bind({
          statement: name,
          values: values.map((value, at) => toText(value, parameters[at])),
        }),
        serialize.execute({}),
        serialize.sync(),
      )
      const rows: object[] = []
      for (const reply of replies)
        if (reply instanceof messages.DataRowMessage) rows.push(toRow(reply.fields, fields))
      return rows as Row[]
    },
    command(sql) {
      const replies = send(serialize.query(sql))
      const done = replies.find((reply) => reply instanceof messages.CommandCompleteMessage)
      return done?.text ?? ''
    },
  }
}
