import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Hex, keccak256, toHex, zeroAddress, zeroHash } from 'viem'
import { type StepName, STEPS } from '../../keeper/jobs/machine.ts'
import { createLog } from '../../keeper/log.ts'
import { createChainStore } from '../../keeper/store/chain.ts'
import { type Database, openFolder, openServer } from '../../keeper/store/database.ts'
import { openIdentity } from '../../keeper/store/identity.ts'
import { createJournal } from '../../keeper/store/journal.ts'
import { migrate } from '../../keeper/store/migrations.ts'
import { createPartitionStore, type Transition } from '../../keeper/store/partitions.ts'
import { createQueue } from '../../keeper/store/queue.ts'
import type { JournalEvent } from '../../sdk/journal.ts'
import { startPostgres } from '../../test/helpers/postgres.ts'
import { type Note, type Row, row } from '../harness.ts'

const STEPS_TAKEN = 300
const JOBS = 200
const WARMUP = 30

/** What it takes to write down a step, and to bring a job to a worker: on PGlite in a folder, on a Postgres server. */
export async function measureStore(note: Note): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-store-'))
  const log = createLog('silent')
  try {
    note('steps and jobs on PGlite')
    const pglite = await measured('PGlite', await openFolder(join(folder, 'books'), log))
    note('steps and jobs on Postgres')
    const server = await startPostgres()
    try {
      const url = await server.create('books')
      return [...pglite, ...(await measured('Postgres', await openServer(url, log)))]
    } finally {
      await server.remove()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measured(name: string, db: Database): Promise<Row[]> {
  try {
    await migrate(db)
    const steps = await stepTimes(db)
    return [
      row(`a step written down on ${name}`, steps, 'ms'),
      row(`a job brought to a worker on ${name}`, await jobTimes(db), 'ms'),
    ]
  } finally {
    await db.close()
  }
}

/** Milliseconds of the commit of one step's end and the next one's intent, with what the journal says of them. */
async function stepTimes(db: Database): Promise<number[]> {
  const identity = await openIdentity(db, {
    version: 1,
    chainId: 31_337,
    addresses: { multiverse: zeroAddress, worlds: zeroAddress },
    startBlock: 1,
    startBlockHash: zeroHash,
  })
  const journal = createJournal(db, identity, (error) => {
    throw error
  })
  const partitions = createPartitionStore(db, journal)
  const keys = await begun(db, journal, Math.ceil((WARMUP + STEPS_TAKEN) / (STEPS.length - 1)))
  const took: number[] = []
  for (const key of keys) {
    let attempt = await partitions.commit(key, { intend: STEPS[0] })
    for (const [at, step] of STEPS.slice(0, -1).entries()) {
      const begunAt = performance.now()
      attempt = await partitions.commit(key, {
        done: { step, output: outputOf(step), attempt } as NonNullable<Transition['done']>,
        intend: STEPS[at + 1]!,
        timings: { executeMs: 1 },
        events: [eventOf(step), eventOf(step)],
      })
      took.push(performance.now() - begunAt)
    }
  }
  return took.slice(WARMUP)
}

/** As large as what a step of three worlds leaves behind. */
const outputOf = (step: StepName) => ({
  worlds: [0, 1, 2].map((outcome) => ({
    outcome,
    stateRoot: keccak256(toHex(`${step} ${outcome}`)),
    cost: '3000000000000000000',
    error: null,
    tookMs: 1.5,
  })),
})

const eventOf = (step: StepName): JournalEvent => ({
  kind: 'world.executed',
  entityId: `world-${step}`,
  verseId: zeroHash,
  stateRoot: zeroHash,
  cost: '1',
  executeTimeMs: 1,
})

/** Partitions as the chain's follower leaves them. */
async function begun(
  db: Database,
  journal: ReturnType<typeof createJournal>,
  count: number,
): Promise<Hex[]> {
  const chain = createChainStore({
    db,
    queue: await createQueue(db),
    journal,
    chainId: 31_337,
    multiverse: zeroAddress,
    confirmations: 0,
    log: createLog('silent'),
  })
  const questions = Array.from({ length: count }, (_, index) => keccak256(toHex(`q${index}`)))
  await chain.apply({
    kind: 'history',
    facts: questions.flatMap((question, index) => {
      const at = { block: 1, hash: zeroHash, tx: zeroHash, index }
      return [
        {
          kind: 'asked' as const,
          at,
          question,
          oracle: zeroAddress,
          outcomes: 4,
          deadline: 2n ** 40n,
          specHash: zeroHash,
        },
        {
          kind: 'pushed' as const,
          at,
          parent: zeroHash,
          question,
          path: [],
          token: zeroAddress,
          amount: 1n,
        },
      ]
    }),
  })
  const rows = await db.query<{ key: Hex }>(`select key from keeper.partitions`)
  return rows.map(({ key }) => key)
}

/** Milliseconds from the commit that adds a job until a worker has it, each alone. */
async function jobTimes(db: Database): Promise<number[]> {
  const queue = await createQueue(db)
  const arrivals = new Map<string, () => void>()
  await queue.work('answer', 1, async ({ key }) => arrivals.get(key)?.())
  const took: number[] = []
  for (let job = 0; job < WARMUP + JOBS; job++) {
    const key = `job-${job}`
    const arrival = new Promise<void>((resolve) => arrivals.set(key, resolve))
    const begunAt = performance.now()
    await db.transaction((tx) => queue.add(tx, 'answer', [key]))
    queue.wake('answer', 1)
    await arrival
    took.push(performance.now() - begunAt)
  }
  await queue.stop()
  return took.slice(WARMUP)
}
