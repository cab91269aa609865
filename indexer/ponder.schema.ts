import { index, onchainTable, primaryKey, relations } from 'ponder'

// Table and column names are final: analytics/ mirrors these tables by them. Amounts are in the token's smallest unit,
// times Unix seconds, addresses lower-case, position ids 32-byte hex, outcomes 0-based, `survivors` the ascending outcomes
// that are still possible. A row that comes from an event says which: its first columns are always the same six.
//
// Tables are either inserted into only, and mirrored, or updated too (question, balance, supply, deposit, redeemer), and
// not to be read through SQL over HTTP on PGlite: ponder's bulk updates leave empty temporary tables of the same names
// behind there, which an unqualified name finds first. GraphQL is right always.

type ColumnBuilders = Parameters<Extract<Parameters<typeof onchainTable>[1], Function>>[0]

/** Where an event stands on the chain. `event_id` before it sorts events in the chain's order. */
const origin = (t: ColumnBuilders) => ({
  blockNumber: t.bigint().notNull(),
  blockHash: t.hex().notNull(),
  blockTimestamp: t.bigint().notNull(),
  txHash: t.hex().notNull(),
  logIndex: t.integer().notNull(),
})

/**
 * The last block whose events are in these tables; no row before the first live block. On PGlite ponder writes a block's
 * tables one after the other and not in a transaction, so a reader needs `events` here and `rows` in {@link block} to know
 * that it has seen all of a block.
 */
export const head = onchainTable('head', (t) => ({
  chainId: t.integer().primaryKey(),
  number: t.bigint().notNull(),
  hash: t.hex().notNull(),
  timestamp: t.bigint().notNull(),
  /** How many events of ours it holds; when there are any, it has a row in {@link block}. */
  events: t.integer().notNull(),
}))

/** Blocks that hold events of ours. */
export const block = onchainTable('block', (t) => ({
  number: t.bigint().primaryKey(),
  hash: t.hex().notNull(),
  timestamp: t.bigint().notNull(),
  /** How many of ours it holds. */
  events: t.integer().notNull(),
  /** How many rows of all tables name it as their block. */
  rows: t.integer().notNull(),
}))

/** A question was asked for the first time. */
export const asking = onchainTable(
  'asking',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    question: t.hex().notNull(),
    oracle: t.hex().notNull(),
    outcomes: t.integer().notNull(),
    deadline: t.bigint().notNull(),
    specHash: t.hex().notNull(),
    termsHash: t.hex().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber) }),
)

/** A question with what is recorded of it: its deadline decides by itself and leaves no trace until `expire`. */
export const question = onchainTable(
  'question',
  (t) => ({
    eventId: t.text().notNull(),
    ...origin(t),
    id: t.hex().primaryKey(),
    oracle: t.hex().notNull(),
    outcomes: t.integer().notNull(),
    deadline: t.bigint().notNull(),
    specHash: t.hex().notNull(),
    termsHash: t.hex().notNull(),
    /** open, narrowed or resolved. */
    status: t.text().notNull(),
    survivors: t.integer().array().notNull(),
    winner: t.integer(),
    /** Whether time decided and not the oracle; null until resolved. */
    expired: t.boolean(),
  }),
  (table) => ({ byOracle: index().on(table.oracle) }),
)

/** Somebody said where a question's spec is; the first that matches the spec hash counts. */
export const specPublication = onchainTable(
  'spec_publication',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    question: t.hex().notNull(),
    uri: t.text().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byQuestion: index().on(table.question) }),
)

/** The oracle ruled outcomes out; more than one is left. */
export const narrowing = onchainTable(
  'narrowing',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    question: t.hex().notNull(),
    survivors: t.integer().array().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byQuestion: index().on(table.question) }),
)

/** A question got its answer. */
export const answer = onchainTable(
  'answer',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    question: t.hex().notNull(),
    outcome: t.integer().notNull(),
    expired: t.boolean().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byQuestion: index().on(table.question) }),
)

/**
 * A verse that some push-down or pull-up named, with its ancestors and siblings. `parent`, `question` and `outcome` are
 * canonical: the path without its last answer, and that answer. ROOT comes from no event and has nulls there.
 */
export const verse = onchainTable(
  'verse',
  (t) => ({
    eventId: t.text(),
    blockNumber: t.bigint(),
    blockHash: t.hex(),
    blockTimestamp: t.bigint(),
    txHash: t.hex(),
    logIndex: t.integer(),
    id: t.hex().primaryKey(),
    parent: t.hex(),
    question: t.hex(),
    outcome: t.integer(),
    depth: t.integer().notNull(),
    /** `{question, outcome}[]`, ascending. */
    path: t.json().$type<{ question: string; outcome: number }[]>().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byParent: index().on(table.parent) }),
)

/** A token inside a verse: an ERC-6909 id and its preimage. */
export const position = onchainTable(
  'position',
  (t) => ({
    eventId: t.text().notNull(),
    ...origin(t),
    id: t.hex().primaryKey(),
    verse: t.hex().notNull(),
    token: t.hex().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byVerse: index().on(table.verse) }),
)

export const balance = onchainTable(
  'balance',
  (t) => ({
    owner: t.hex().notNull(),
    position: t.hex().notNull(),
    amount: t.bigint().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.owner, table.position] }),
    byPosition: index().on(table.position),
  }),
)

export const supply = onchainTable('supply', (t) => ({
  position: t.hex().primaryKey(),
  amount: t.bigint().notNull(),
}))

/** What came into the ledger and left it, by token: push-downs from ROOT and pull-ups to it. */
export const deposit = onchainTable('deposit', (t) => ({
  token: t.hex().primaryKey(),
  deposited: t.bigint().notNull(),
  withdrawn: t.bigint().notNull(),
}))

export const pushDown = onchainTable(
  'push_down',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    parent: t.hex().notNull(),
    question: t.hex().notNull(),
    owner: t.hex().notNull(),
    token: t.hex().notNull(),
    receiver: t.hex().notNull(),
    amount: t.bigint().notNull(),
    survivors: t.integer().array().notNull(),
    /** The parent's. */
    path: t.json().$type<{ question: string; outcome: number }[]>().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byOwner: index().on(table.owner) }),
)

export const pullUp = onchainTable(
  'pull_up',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    parent: t.hex().notNull(),
    question: t.hex().notNull(),
    owner: t.hex().notNull(),
    token: t.hex().notNull(),
    receiver: t.hex().notNull(),
    amount: t.bigint().notNull(),
    survivors: t.integer().array().notNull(),
    /** The parent's. */
    path: t.json().$type<{ question: string; outcome: number }[]>().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byOwner: index().on(table.owner) }),
)

/** Every ERC-6909 Transfer: the zero address sends what is minted and receives what is burned. */
export const transfer = onchainTable(
  'transfer',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    operator: t.hex().notNull(),
    sender: t.hex().notNull(),
    receiver: t.hex().notNull(),
    position: t.hex().notNull(),
    amount: t.bigint().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byPosition: index().on(table.position) }),
)

export const approval = onchainTable(
  'approval',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    owner: t.hex().notNull(),
    spender: t.hex().notNull(),
    position: t.hex().notNull(),
    amount: t.bigint().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber) }),
)

export const operatorChange = onchainTable(
  'operator_change',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    owner: t.hex().notNull(),
    operator: t.hex().notNull(),
    allowed: t.boolean().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber) }),
)

export const redeemerChange = onchainTable(
  'redeemer_change',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    owner: t.hex().notNull(),
    redeemer: t.hex().notNull(),
    allowed: t.boolean().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber) }),
)

/** Who may pull up for whom, now. */
export const redeemer = onchainTable(
  'redeemer',
  (t) => ({
    owner: t.hex().notNull(),
    redeemer: t.hex().notNull(),
    allowed: t.boolean().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.owner, table.redeemer] }) }),
)

/** A position's preimage was registered on chain. */
export const positionDescription = onchainTable(
  'position_description',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    position: t.hex().notNull(),
    verse: t.hex().notNull(),
    token: t.hex().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber) }),
)

/** A keeper wrote down what its worlds showed of a partition. */
export const partitionReport = onchainTable(
  'partition_report',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    keeper: t.hex().notNull(),
    parent: t.hex().notNull(),
    question: t.hex().notNull(),
    /** The parent's. */
    path: t.json().$type<{ question: string; outcome: number }[]>().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byParent: index().on(table.parent) }),
)

/** One outcome of a partition's report. Costs and probabilities have 18 decimals. */
export const reportWorld = onchainTable(
  'report_world',
  (t) => ({
    eventId: t.text().notNull(),
    ...origin(t),
    keeper: t.hex().notNull(),
    parent: t.hex().notNull(),
    question: t.hex().notNull(),
    outcome: t.integer().notNull(),
    verse: t.hex().notNull(),
    stateRoot: t.hex().notNull(),
    cost: t.bigint().notNull(),
    probability: t.bigint().notNull(),
    trit: t.integer().notNull(),
    /** 0 no world, 1 ran and was not verified, 2 verified by re-execution, 3 failed. */
    verdict: t.integer().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.eventId, table.outcome] }),
    byBlock: index().on(table.blockNumber),
    byVerse: index().on(table.verse),
  }),
)

/** A keeper revised the probabilities of a partition it had reported: one row an outcome. */
export const probabilityUpdate = onchainTable(
  'probability_update',
  (t) => ({
    eventId: t.text().notNull(),
    ...origin(t),
    keeper: t.hex().notNull(),
    parent: t.hex().notNull(),
    question: t.hex().notNull(),
    outcome: t.integer().notNull(),
    probability: t.bigint().notNull(),
  }),
  (table) => ({
    pk: primaryKey({ columns: [table.eventId, table.outcome] }),
    byBlock: index().on(table.blockNumber),
  }),
)

/**
 * Somebody answered in an optimistic game: the first answer is a proposal, each later one a dispute of the one before. The
 * bond is in the game's token.
 */
export const gameAnswer = onchainTable(
  'game_answer',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    oracle: t.hex().notNull(),
    question: t.hex().notNull(),
    answerer: t.hex().notNull(),
    outcome: t.integer().notNull(),
    bond: t.bigint().notNull(),
    evidenceHash: t.hex().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byQuestion: index().on(table.question) }),
)

/** Somebody called a game's arbitrator, who has until `until` (Unix seconds). */
export const arbitrationRequest = onchainTable(
  'arbitration_request',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    oracle: t.hex().notNull(),
    question: t.hex().notNull(),
    requester: t.hex().notNull(),
    until: t.bigint().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byQuestion: index().on(table.question) }),
)

/** The arbitrator ended a game. */
export const arbitratorRuling = onchainTable(
  'arbitrator_ruling',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    oracle: t.hex().notNull(),
    question: t.hex().notNull(),
    outcome: t.integer().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byQuestion: index().on(table.question) }),
)

/** Somebody took their share of a game's bonds. */
export const bondClaim = onchainTable(
  'bond_claim',
  (t) => ({
    eventId: t.text().primaryKey(),
    ...origin(t),
    oracle: t.hex().notNull(),
    question: t.hex().notNull(),
    account: t.hex().notNull(),
    receiver: t.hex().notNull(),
    amount: t.bigint().notNull(),
  }),
  (table) => ({ byBlock: index().on(table.blockNumber), byQuestion: index().on(table.question) }),
)

export const questionRelations = relations(question, ({ many }) => ({
  specPublications: many(specPublication),
  narrowings: many(narrowing),
  answers: many(answer),
  gameAnswers: many(gameAnswer),
  verses: many(verse),
}))

export const gameAnswerRelations = relations(gameAnswer, ({ one }) => ({
  of: one(question, { fields: [gameAnswer.question], references: [question.id] }),
}))

export const specPublicationRelations = relations(specPublication, ({ one }) => ({
  of: one(question, { fields: [specPublication.question], references: [question.id] }),
}))

export const narrowingRelations = relations(narrowing, ({ one }) => ({
  of: one(question, { fields: [narrowing.question], references: [question.id] }),
}))

export const answerRelations = relations(answer, ({ one }) => ({
  of: one(question, { fields: [answer.question], references: [question.id] }),
}))

export const verseRelations = relations(verse, ({ one, many }) => ({
  parentVerse: one(verse, {
    fields: [verse.parent],
    references: [verse.id],
    relationName: 'ancestry',
  }),
  children: many(verse, { relationName: 'ancestry' }),
  of: one(question, { fields: [verse.question], references: [question.id] }),
  positions: many(position),
}))

export const positionRelations = relations(position, ({ one, many }) => ({
  inVerse: one(verse, { fields: [position.verse], references: [verse.id] }),
  supply: one(supply, { fields: [position.id], references: [supply.position] }),
  balances: many(balance),
}))

export const balanceRelations = relations(balance, ({ one }) => ({
  of: one(position, { fields: [balance.position], references: [position.id] }),
}))
