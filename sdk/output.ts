import { z } from 'zod'
import { deploymentSchema } from './deployment.ts'
import { specSchema } from './spec.ts'

// What `multiverse VERB --json` prints: one JSON value on the last line of standard output, and of `events` one on every
// line. Amounts, costs and probabilities are exact decimal strings in whole units (tokens, 1 for certainty), unless they are
// said to be integers. Times are Unix seconds. An outcome is its number, from 0; `label` its name, null when the question's
// spec cannot be read.

const hex = z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]*$/)])
const address = z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]{40}$/)])
const word = z.templateLiteral(['0x', z.string().regex(/^[0-9a-f]{64}$/)])
const integer = z.string().regex(/^-?\d+$/)
const decimal = z.string().regex(/^-?\d+(\.\d+)?$/)
const outcome = z.int().min(0).max(253)
const label = z.string().nullable()
const trit = z.union([z.literal(-1), z.literal(0), z.literal(1)])
const answer = z.strictObject({ question: word, outcome, label })
const path = z.array(answer)
const written = { tx: word, block: z.int().nonnegative() }
/** Alive: every answer is still possible. Evaporated: one no longer is. Came true: no other is. */
const verseState = z.enum(['alive', 'evaporated', 'came-true'])
/** Open: undecided. Answered: by its oracle. Expired: time decided, and the last outcome, void, has won. */
const questionState = z.enum(['open', 'answered', 'expired'])
const verdict = z.enum(['no world', 'ran', 'verified', 'failed'])

/** Any verb that failed. The codes and what they exit with are in docs/operations.md. */
export const failureOutput = z.strictObject({
  error: z.strictObject({ code: z.string().regex(/^[A-Z0-9_]+$/), message: z.string() }),
})

export const askOutput = z.strictObject({
  question: word,
  oracle: address,
  outcomes: z.int(),
  labels: z.array(z.string()),
  deadline: z.int(),
  specHash: word,
  termsHash: word,
  ...written,
})

/** `push-down` and `pull-up`. */
export const moveOutput = z.strictObject({
  kind: z.enum(['push-down', 'pull-up']),
  /** The parent. */
  verse: word,
  path,
  question: word,
  /** One for each outcome. */
  children: z.array(z.strictObject({ verse: word, outcome, label })),
  /** The outcomes of those that were given to or taken from: the ones still possible. */
  survivors: z.array(outcome),
  token: address,
  amount: decimal,
  owner: address,
  to: address,
  /** The approval that went before it; null when none was needed. */
  approveTx: word.nullable(),
  ...written,
})

export const transferOutput = z.strictObject({
  verse: word,
  path,
  /** The ERC-6909 id, an integer. */
  position: integer,
  token: address,
  amount: decimal,
  from: address,
  to: address,
  ...written,
})

/** `sign`. */
export const signOutput = z.strictObject({
  question: word,
  outcome,
  label,
  signer: address,
  /** The outcomes that survive, a bit mask in decimal. */
  survivors: z.string().regex(/^\d+$/),
  signature: z.templateLiteral(['0x', z.string().regex(/^[0-9a-f]+$/)]),
  /** How many members have to sign alike. */
  threshold: z.int().positive(),
  /** The signatures that the keeper has now; null when none runs. */
  known: z.int().nonnegative().nullable(),
})

/** `resolve`, `narrow` and `expire`. */
export const narrowOutput = z.strictObject({
  question: word,
  /** The answer; null while several outcomes are possible. */
  outcome: outcome.nullable(),
  label,
  /** The outcomes still possible. */
  survivors: z.array(outcome),
  /** Null where the answer was handed to a keeper that brings it about through an oracle's game or votes. */
  tx: word.nullable(),
  block: z.int().nonnegative().nullable(),
})

export const balanceOutput = z.strictObject({
  owner: address,
  token: address,
  symbol: z.string(),
  balances: z.array(
    z.strictObject({
      verse: word,
      name: z.string(),
      path,
      amount: decimal,
      live: z.boolean(),
      state: verseState,
    }),
  ),
})

export const verseOutput = z.strictObject({
  verse: word,
  name: z.string(),
  path,
  parent: word.nullable(),
  children: z.array(word),
  probability: decimal.nullable(),
  live: z.boolean(),
  state: verseState,
  keeper: address,
  world: z.strictObject({ stateRoot: word, cost: decimal, trit, verdict }).nullable(),
})

/** A world that a keeper ran, or runs. `provider` and `world`, its name there, are known while that keeper runs here. */
const world = z.strictObject({
  keeper: address,
  provider: z.string().nullable(),
  world: z.string().nullable(),
  trit,
  /** Null while it runs, and when it failed. */
  cost: decimal.nullable(),
  stateRoot: word.nullable(),
  /** Null while it is not reported on the chain. */
  verdict: verdict.nullable(),
})

const supply = z.array(z.strictObject({ token: address, symbol: z.string(), amount: decimal }))

export const versesOutput = z.strictObject({
  /** The block that all of it is true at. */
  block: z.int(),
  /** Depth first, in the order in which they were opened: ROOT is the first. */
  verses: z.array(
    z.strictObject({
      verse: word,
      name: z.string(),
      path,
      depth: z.int().nonnegative(),
      /** The partition it is shown in; null for ROOT. */
      parent: word.nullable(),
      question: word.nullable(),
      outcome: outcome.nullable(),
      label,
      /** Conditional on the parent, as reported. */
      probability: decimal.nullable(),
      state: verseState,
      /** What is in it; of ROOT what was pushed down and not pulled up again. */
      supply,
      worlds: z.array(world),
      /** True when it stands further up already: several partitions open it, and what is below it is shown there. */
      repeated: z.boolean(),
    }),
  ),
})

export const worldsOutput = z.strictObject({
  worlds: z.array(
    world.extend({
      verse: word,
      name: z.string(),
      parent: word,
      question: word,
      outcome,
      label,
      probability: decimal.nullable(),
      state: verseState,
    }),
  ),
})

const questionFields = {
  question: word,
  /** Null when the spec cannot be read, as of one that is not published as a data: URI. */
  title: z.string().nullable(),
  /** The title as it can be typed in place of the id. */
  slug: z.string().nullable(),
  oracle: address,
  outcomes: z.int(),
  labels: z.array(z.string()).nullable(),
  deadline: z.int(),
  state: questionState,
  /** `recorded`: whether the chain has it written down; time decides without. */
  answer: z.strictObject({ outcome, label, recorded: z.boolean() }).nullable(),
}

export const questionsOutput = z.strictObject({
  questions: z.array(z.strictObject(questionFields)),
})

export const questionOutput = z.strictObject({
  ...questionFields,
  /** The outcomes still possible. */
  possible: z.array(outcome),
  narrowings: z.array(z.strictObject({ survivors: z.array(outcome), ...written })),
  asked: z.strictObject(written),
  resolved: z.strictObject(written).nullable(),
  specHash: word,
  termsHash: word,
  spec: specSchema.nullable(),
  partitions: z.array(
    z.strictObject({
      parent: word,
      name: z.string(),
      path,
      children: z.array(z.strictObject({ verse: word, outcome, label, state: verseState, supply })),
      reports: z.array(
        z.strictObject({
          ...written,
          keeper: address,
          worlds: z.array(
            z.strictObject({
              outcome,
              label,
              probability: decimal,
              trit,
              cost: decimal,
              stateRoot: word,
              verdict,
            }),
          ),
        }),
      ),
    }),
  ),
})

/** One line of `events`. */
export const eventOutput = z.strictObject({
  contract: z.enum(['multiverse', 'worlds']),
  event: z.string(),
  ...written,
  blockHash: word,
  logIndex: z.int().nonnegative(),
  /** True when the chain took back an event that was printed before. */
  removed: z.boolean(),
  /** The event's arguments by name; integers wider than 32 bits as decimal strings. */
  args: z.record(z.string(), z.json()),
})

/** `redeemer set` and `redeemer unset`. */
export const redeemerOutput = z.strictObject({
  owner: address,
  redeemer: address,
  allowed: z.boolean(),
  ...written,
})

export const redeemersOutput = z.strictObject({ owner: address, redeemers: z.array(address) })

export const sqlOutput = z.strictObject({
  columns: z.array(z.strictObject({ name: z.string(), type: z.string() })),
  rows: z.array(z.array(z.json())),
})

/** `chart`: the file, and how many rows it shows. */
export const chartOutput = z.strictObject({ kind: z.string(), file: z.string(), rows: z.int() })

/** What a provider is, what it was called for, and what is linked to it. Times in milliseconds. */
export const providerOutput = z.strictObject({
  id: z.string(),
  name: z.string(),
  trit: z.int().nullable(),
  status: z.string(),
  /** Why it is in that status; empty when there is nothing to say. */
  reason: z.string(),
  capabilities: z.json(),
  /** What its vendor says of it, measured by nobody here. */
  declared: z.json(),
  endpoint: z.string().nullable(),
  auth: z.string().nullable(),
  calls: z.int(),
  failed: z.int(),
  p95: z.number().nullable(),
  lastCall: z.string().nullable(),
  links: z.array(z.string()),
})

/** A plan of providers in the order in which they work. */
export const planOutput = z.strictObject({
  mode: z.string(),
  members: z.array(z.strictObject({ id: z.string(), trit: z.int() })),
  sum: z.int(),
  conserved: z.boolean(),
})

const milliseconds = z.number()
const wev = z.strictObject({
  /** Null when the optimum costs nothing. */
  ratio: decimal.nullable(),
  abs: decimal,
  nominal: decimal,
  realized: decimal,
})
/** By owner: the ERC-20 (`root`) and each verse by its label. */
const books = z.record(z.string(), z.record(z.string(), decimal))

/** What one run of the default scenario came to. */
const scenarioFields = {
  chainId: z.int().positive(),
  multiverse: address,
  partition: z.strictObject({ parent: word, question: word, children: z.array(word) }),
  worlds: z.array(
    z.strictObject({
      verse: word,
      name: z.string(),
      trit: z.int(),
      provider: z.string().nullable(),
      stateRoot: hex.nullable(),
      cost: decimal.nullable(),
    }),
  ),
  probabilities: z.array(decimal),
  winner: z.string().nullable(),
  outcome: z.string(),
  wev,
  /** From the keeper's journal: the providers that succeeded for each verse. `sum` is that of all lanes. */
  gf3: z.strictObject({
    sum: z.int(),
    conserved: z.boolean(),
    lanes: z.array(
      z.strictObject({
        verse: hex,
        providers: z.array(z.string()),
        sum: z.int(),
        conserved: z.boolean(),
      }),
    ),
  }),
  balances: z.strictObject({ before: books, after: books }),
  conserved: z.boolean(),
  timings: z.strictObject({
    bootstrapMs: milliseconds,
    deployMs: milliseconds,
    branchMs: milliseconds,
    executeMs: milliseconds,
    reportMs: milliseconds,
    endToEndMs: milliseconds,
  }),
}

export const demoOutput = z.strictObject({
  /** Whether everything that is claimed was checked and held. */
  ok: z.boolean(),
  ...scenarioFields,
})

const runningProcess = z.strictObject({
  name: z.string(),
  pid: z.int().positive(),
  startedAt: z.string().nullable(),
})

/** `up`, once everything is up. */
export const upOutput = z.strictObject({
  dataDir: z.string(),
  deployment: deploymentSchema,
  version: z.literal(1),
  supervisor: runningProcess,
  chainId: z.int().positive(),
  keeper: address,
  urls: z.strictObject({
    rpc: z.string(),
    graphql: z.string(),
    analytics: z.string(),
    keeper: z.string(),
  }),
  processes: z.array(runningProcess),
  scenario: z.strictObject(scenarioFields).nullable(),
})

/** `wallet new` and `wallet import`: where the key is kept. */
export const walletOutput = z.strictObject({ name: z.string(), address, path: z.string() })

/** `wallet list`. */
export const walletsOutput = z.strictObject({
  /** The keystore folder. */
  folder: z.string(),
  /** The chain that the balances are on; null when none was reached. */
  chainId: z.int().nullable(),
  wallets: z.array(
    z.strictObject({
      name: z.string().nullable(),
      /** Null for a file that does not say. */
      address: address.nullable(),
      /** Local: a development wallet, which every local chain has. */
      kind: z.enum(['keystore', 'local']),
      path: z.string().nullable(),
      /** In ether. */
      balance: decimal.nullable(),
    }),
  ),
  /** Files of the folder that are no keystores. */
  unreadable: z.array(z.strictObject({ path: z.string(), ...failureOutput.shape })),
})

/** `doctor`. */
export const doctorOutput = z.strictObject({
  /** Whether all that is required is there. */
  ok: z.boolean(),
  findings: z.array(
    z.strictObject({
      /** Stable: node, packages, contracts, ports, disk, data, rpc, the name of a database's variable, gvisor, qemu, firecracker, kvm, or a provider. */
      id: z.string(),
      name: z.string(),
      required: z.boolean(),
      ok: z.boolean(),
      detail: z.string(),
      /** One line that mends it; null when there is nothing to mend. */
      mend: z.string().nullable(),
    }),
  ),
})

const balanceDifference = z.strictObject({
  owner: z.string(),
  position: z.string(),
  /** Smallest units, as each of the three tells them. */
  duckdb: decimal,
  indexer: decimal,
  contract: decimal,
})

/** `analytics check`. */
export const checkOutput = z.strictObject({
  ok: z.boolean(),
  /** Where all three stood. */
  block: z.strictObject({ number: z.int(), hash: z.string() }),
  /** Pairs of owner and position that were compared. */
  compared: z.int(),
  differences: z.array(balanceDifference),
  /** What is wrong in DuckDB by itself. */
  faults: z.array(z.strictObject({ fault: z.string(), count: z.int() })),
  /** What the analytics cannot do at this moment. */
  problems: z.array(z.strictObject({ of: z.string(), code: z.string(), message: z.string() })),
})

/** `analytics rebuild`. */
export const rebuildOutput = z.strictObject({ block: z.int(), ms: z.int() })

/** `analytics export`. */
export const exportOutput = z.strictObject({
  folder: z.string(),
  /** Everything up to it is in the folder. */
  settled: z.int(),
  files: z.int(),
  rows: z.int(),
})

export type FailureOutput = z.infer<typeof failureOutput>
export type AskOutput = z.infer<typeof askOutput>
export type MoveOutput = z.infer<typeof moveOutput>
export type TransferOutput = z.infer<typeof transferOutput>
export type SignOutput = z.infer<typeof signOutput>
export type NarrowOutput = z.infer<typeof narrowOutput>
export type BalanceOutput = z.infer<typeof balanceOutput>
export type VerseOutput = z.infer<typeof verseOutput>
export type VersesOutput = z.infer<typeof versesOutput>
export type WorldsOutput = z.infer<typeof worldsOutput>
export type WorldOutput = z.infer<typeof world>
export type QuestionsOutput = z.infer<typeof questionsOutput>
export type QuestionOutput = z.infer<typeof questionOutput>
export type EventOutput = z.infer<typeof eventOutput>
export type RedeemerOutput = z.infer<typeof redeemerOutput>
export type RedeemersOutput = z.infer<typeof redeemersOutput>
export type SqlOutput = z.infer<typeof sqlOutput>
export type ChartOutput = z.infer<typeof chartOutput>
export type ProviderOutput = z.infer<typeof providerOutput>
export type PlanOutput = z.infer<typeof planOutput>
export type DemoOutput = z.infer<typeof demoOutput>
export type UpOutput = z.infer<typeof upOutput>
export type WalletOutput = z.infer<typeof walletOutput>
export type WalletsOutput = z.infer<typeof walletsOutput>
export type CheckOutput = z.infer<typeof checkOutput>
export type RebuildOutput = z.infer<typeof rebuildOutput>
export type ExportOutput = z.infer<typeof exportOutput>
export type DoctorOutput = z.infer<typeof doctorOutput>
export type VerseState = z.infer<typeof verseState>
export type QuestionState = z.infer<typeof questionState>
