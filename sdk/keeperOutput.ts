import { z } from 'zod'

// What `multiverse keeper VERB --json` prints, which is what the keeper's socket answers: see output.ts.

const hex = z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]*$/)])
const address = z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]{40}$/)])
const integer = z.string().regex(/^\d+$/)
const count = z.int().nonnegative()
const counts = z.array(z.strictObject({ state: z.string(), count }))
const failure = z.strictObject({ code: z.string(), message: z.string() })

const books = {
  keeperId: z.string(),
  epoch: z.int(),
  partitions: counts,
  answers: counts,
  transactions: counts,
  duties: counts,
  jobs: z.array(z.strictObject({ queue: z.string(), state: z.string(), count })),
  /** Dead letters: jobs that were given up on. */
  dead: count,
  /** Partitions that this keeper branched worlds for and another one reported too. */
  doubled: count,
  /** What providers spent this UTC day, core-seconds. */
  spentToday: z.number().nonnegative(),
}

/** `keeper status`; without a keeper that runs, what its books say. */
export const keeperStatusOutput = z.discriminatedUnion('isRunning', [
  z.strictObject({ isRunning: z.literal(false), ...books }),
  z.strictObject({
    isRunning: z.literal(true),
    ...books,
    chainId: z.int().positive(),
    address,
    head: z.strictObject({ number: count, hash: hex, timestamp: count }).nullable(),
    /** Why current data cannot be served; null when it can. */
    notReady: z.string().nullable(),
    liveWorlds: count,
    /** Core-seconds; null for no bound. */
    budget: z.strictObject({ perDay: z.number().nullable(), perVerse: z.number().nullable() }),
  }),
])

/** Where a job stands. */
export const JOB_STATES = ['active', 'queued', 'delayed', 'held', 'dead'] as const

const job = {
  queue: z.string(),
  /** A partition's key, for an answer or a duty the question's id, and `all` for redemptions. */
  key: z.string(),
  state: z.enum(JOB_STATES),
  parent: hex.nullable(),
  question: hex.nullable(),
  /** The partition's state; null for other work. */
  partition: z.string().nullable(),
  /** The step that was begun. */
  step: z.string().nullable(),
  /** How often it failed since it last went well. */
  failures: count,
  class: z.string().nullable(),
  error: failure.nullable(),
  /** What it is held for. */
  waiting: z.strictObject({ reason: z.string(), message: z.string() }).nullable(),
  /** When it comes again; null when nobody knows. */
  nextAt: z.iso.datetime().nullable(),
}

/** `keeper jobs`. */
export const keeperJobsOutput = z.strictObject({ jobs: z.array(z.strictObject(job)) })

/** `keeper jobs KEY`. */
export const keeperJobOutput = z.strictObject({
  ...job,
  /** The newest failures, oldest first. */
  history: z.array(z.strictObject({ at: z.iso.datetime(), ...failure.shape })),
})

/** `keeper retry` and `keeper drop`: the jobs that it was done with. */
export const keeperKeysOutput = z.strictObject({ keys: z.array(z.string()) })

/** `keeper worlds`: the worlds that live in the keeper's process. */
export const keeperWorldsOutput = z.strictObject({
  worlds: z.array(
    z.strictObject({
      entityId: z.string(),
      provider: z.string(),
      instanceId: z.string(),
      partition: hex,
      /** Null for the world that was split. */
      outcome: count.nullable(),
      verseId: hex.nullable(),
      name: z.string().nullable(),
    }),
  ),
})

/** `keeper duties`: what is done for oracles, question by question. Amounts in the token's smallest unit. */
export const keeperDutiesOutput = z.strictObject({
  duties: z.array(
    z.strictObject({
      question: hex,
      /** The oracle: the keeper's own word, or a contract of that kind. */
      kind: z.enum(['own', 'optimistic', 'committee', 'reality', 'price']),
      state: z.enum(['open', 'done']),
      /** What the keeper holds to be the answer; null while it does not know. */
      decision: z.looseObject({ outcome: count, source: z.string() }).nullable(),
      /** Why nothing is done now. */
      reason: failure.nullable(),
      /** Until when: a block, a time of the chain in Unix seconds. */
      wakeBlock: count.nullable(),
      wakeTime: z.number().nullable(),
      /** What the keeper put up in the game, one for each of its moves: all but the first answer a dispute. */
      bonds: z.array(
        z.strictObject({ outcome: count, bond: integer, token: address, state: z.string() }),
      ),
    }),
  ),
})

/** What became of a transaction. */
export const TX_STATES = ['signed', 'mined', 'reverted', 'replaced', 'dropped'] as const

/** `keeper txs`. */
export const keeperTxsOutput = z.strictObject({
  txs: z.array(
    z.strictObject({
      hash: hex,
      /** What it was signed for, such as `report:PARTITION`. */
      purposes: z.array(z.string()),
      kind: z.string(),
      nonce: count,
      state: z.enum(TX_STATES),
      block: count.nullable(),
      from: address,
      to: address.nullable(),
      /** Fees, value and cost in wei, gas in units. */
      maxFeePerGas: integer,
      maxPriorityFeePerGas: integer,
      gas: integer,
      value: integer,
      /** What it cost, or while it is signed what it may cost at most; null when it is not known. */
      cost: integer.nullable(),
      signedAt: z.iso.datetime(),
    }),
  ),
})

/** `keeper reconcile`: what was found, and put right. */
export const keeperReconcileOutput = z.strictObject({
  /** Instances at a provider that were nobody's. */
  orphans: count,
  /** Partitions that ended and still had worlds. */
  released: count,
  /** Open work without a job. */
  forgotten: count,
  /** Facts of the chain that the books lacked. */
  missing: count,
  /** Reports and answers that the books had and the chain has not. */
  phantoms: count,
})
