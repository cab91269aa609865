// Which of the indexer's tables are mirrored where, column by column. The names on the left are the indexer's.

/** A mirrored table. `columns` gives the DuckDB type each value is read as. */
export type MirroredTable = {
  source: string
  target: string
  columns: Record<string, string>
  /** Columns that have another name in the mirror. */
  renamed?: Record<string, string>
}

const EVENT = {
  event_id: 'VARCHAR',
  block_number: 'UBIGINT',
  block_hash: 'VARCHAR',
  block_timestamp: 'BIGINT',
  tx_hash: 'VARCHAR',
  log_index: 'UINTEGER',
}

const MOVE = {
  ...EVENT,
  parent: 'VARCHAR',
  question: 'VARCHAR',
  owner: 'VARCHAR',
  token: 'VARCHAR',
  receiver: 'VARCHAR',
  amount: 'HUGEINT',
  survivors: 'UTINYINT[]',
  path: 'JSON',
}

const REPORT = { ...EVENT, keeper: 'VARCHAR', parent: 'VARCHAR', question: 'VARCHAR' }

const GAME = { ...EVENT, oracle: 'VARCHAR', question: 'VARCHAR' }

export const MIRRORED: readonly MirroredTable[] = [
  {
    source: 'asking',
    target: 'questions',
    columns: {
      ...EVENT,
      question: 'VARCHAR',
      oracle: 'VARCHAR',
      outcomes: 'UTINYINT',
      deadline: 'UBIGINT',
      spec_hash: 'VARCHAR',
      terms_hash: 'VARCHAR',
    },
  },
  {
    source: 'spec_publication',
    target: 'spec_publications',
    columns: { ...EVENT, question: 'VARCHAR', uri: 'VARCHAR' },
  },
  {
    source: 'narrowing',
    target: 'narrowings',
    columns: { ...EVENT, question: 'VARCHAR', survivors: 'UTINYINT[]' },
  },
  {
    source: 'answer',
    target: 'answers',
    columns: { ...EVENT, question: 'VARCHAR', outcome: 'UTINYINT', expired: 'BOOLEAN' },
  },
  {
    source: 'verse',
    target: 'verses',
    columns: {
      ...EVENT,
      id: 'VARCHAR',
      parent: 'VARCHAR',
      question: 'VARCHAR',
      outcome: 'UTINYINT',
      depth: 'UINTEGER',
      path: 'JSON',
    },
    renamed: { id: 'verse' },
  },
  {
    source: 'position',
    target: 'positions',
    columns: { ...EVENT, id: 'VARCHAR', verse: 'VARCHAR', token: 'VARCHAR' },
    renamed: { id: 'position' },
  },
  { source: 'push_down', target: 'push_downs', columns: MOVE },
  { source: 'pull_up', target: 'pull_ups', columns: MOVE },
  {
    source: 'transfer',
    target: 'transfers',
    columns: {
      ...EVENT,
      operator: 'VARCHAR',
      sender: 'VARCHAR',
      receiver: 'VARCHAR',
      position: 'VARCHAR',
      amount: 'HUGEINT',
    },
  },
  {
    source: 'approval',
    target: 'approvals',
    columns: {
      ...EVENT,
      owner: 'VARCHAR',
      spender: 'VARCHAR',
      position: 'VARCHAR',
      amount: 'BIGNUM',
    },
  },
  {
    source: 'operator_change',
    target: 'operator_changes',
    columns: { ...EVENT, owner: 'VARCHAR', operator: 'VARCHAR', allowed: 'BOOLEAN' },
  },
  {
    source: 'redeemer_change',
    target: 'redeemer_changes',
    columns: { ...EVENT, owner: 'VARCHAR', redeemer: 'VARCHAR', allowed: 'BOOLEAN' },
  },
  {
    source: 'position_description',
    target: 'position_descriptions',
    columns: { ...EVENT, position: 'VARCHAR', verse: 'VARCHAR', token: 'VARCHAR' },
  },
  {
    source: 'partition_report',
    target: 'partition_reports',
    columns: { ...REPORT, path: 'JSON' },
  },
  {
    source: 'report_world',
    target: 'report_worlds',
    columns: {
      ...REPORT,
      outcome: 'UTINYINT',
      verse: 'VARCHAR',
      state_root: 'VARCHAR',
      cost: 'UHUGEINT',
      probability: 'UBIGINT',
      trit: 'TINYINT',
      verdict: 'UTINYINT',
    },
  },
  {
    source: 'probability_update',
    target: 'probability_updates',
    columns: { ...REPORT, outcome: 'UTINYINT', probability: 'UBIGINT' },
  },
  {
    source: 'game_answer',
    target: 'game_answers',
    columns: {
      ...GAME,
      answerer: 'VARCHAR',
      outcome: 'UTINYINT',
      bond: 'BIGNUM',
      evidence_hash: 'VARCHAR',
    },
  },
  {
    source: 'arbitration_request',
    target: 'arbitration_requests',
    columns: { ...GAME, requester: 'VARCHAR', until: 'UBIGINT' },
  },
  {
    source: 'arbitrator_ruling',
    target: 'arbitrator_rulings',
    columns: { ...GAME, outcome: 'UTINYINT' },
  },
  {
    source: 'bond_claim',
    target: 'bond_claims',
    columns: { ...GAME, account: 'VARCHAR', receiver: 'VARCHAR', amount: 'BIGNUM' },
  },
]

/** Tables derived from the mirrored ones whose rows name the block they come from, and go with it. */
export const DERIVED_BY_BLOCK = [
  'supply_changes',
  'specs',
  'outcomes',
  'verse_answers',
  'verse_labels',
  'wev_exact',
  'wev_partitions',
]

/** Reads rows as a JSON array, parameter 1, and inserts them into the mirror. */
export function insertRows({ target, columns, renamed = {} }: MirroredTable): string {
  const names = Object.keys(columns)
  const into = names.map((name) => renamed[name] ?? name).join(', ')
  const values = names
    .map((name) => {
      if (name === 'block_timestamp') return `make_timestamp(r.${name} * 1000000)`
      return columns[name] === 'BIGNUM' ? `r.${name}::BIGNUM` : `r.${name}`
    })
    .join(', ')
  return `INSERT INTO ${target} (${into}) SELECT ${values} FROM (SELECT unnest(from_json($1::JSON, '${structure(columns)}')) AS r)`
}

function structure(columns: Record<string, string>): string {
  const fields = Object.entries(columns).map(([name, type]) => [
    name,
    // DuckDB reads no BIGNUM from JSON, but casts text to it.
    type.endsWith('[]') ? [type.slice(0, -2)] : type.replace('BIGNUM', 'VARCHAR'),
  ])
  return JSON.stringify([Object.fromEntries(fields)])
}
