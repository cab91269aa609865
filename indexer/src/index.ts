import { type Context, type Event, type EventNames, ponder } from 'ponder:registry'
import {
  answer,
  approval,
  arbitrationRequest,
  arbitratorRuling,
  asking,
  balance,
  block,
  bondClaim,
  deposit,
  gameAnswer,
  head,
  narrowing,
  operatorChange,
  partitionReport,
  position,
  positionDescription,
  probabilityUpdate,
  pullUp,
  pushDown,
  question,
  redeemer,
  redeemerChange,
  reportWorld,
  specPublication,
  supply,
  transfer,
  verse,
} from 'ponder:schema'
import { type Address, type Hex, zeroAddress } from 'viem'
import { fullMask, outcomesIn, ROOT } from '../../sdk/ids.ts'
import { partitionVerses, positionHex, type VerseRow, verseRow, wordHex } from '../verses.ts'

// The tables are a pure function of the contracts' logs: nothing is read from anywhere else.

type LogEvent = Event<Exclude<EventNames, `${string}:setup` | `${string}:block`>>
type Database = Context['db']

ponder.on('Head:block', async ({ event, context }) => {
  // A block's own event comes after those of its logs.
  const { number, hash, timestamp } = event.block
  const counted = await context.db.find(block, { number })
  const row = { number, hash, timestamp, events: counted?.events ?? 0 }
  await context.db
    .insert(head)
    .values({ chainId: context.chain.id, ...row })
    .onConflictDoUpdate(row)
})

ponder.on('Multiverse:setup', async ({ context }) => {
  await context.db.insert(verse).values(verseRow([]))
})

/* QUESTIONS */

ponder.on('Multiverse:QuestionAsked', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { question: id, ...terms } = event.args
  const survivors = outcomesIn(fullMask(terms.outcomes))
  await db.insert(asking).values({ ...origin, question: id, ...terms })
  await db.insert(question).values({ ...origin, id, ...terms, status: 'open', survivors })
})

ponder.on('Multiverse:SpecPublished', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  await db.insert(specPublication).values({ ...origin, ...event.args })
})

ponder.on('Multiverse:QuestionNarrowed', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const survivors = outcomesIn(event.args.survivors)
  await db.insert(narrowing).values({ ...origin, question: event.args.question, survivors })
  await db.update(question, { id: event.args.question }).set({ status: 'narrowed', survivors })
})

ponder.on('Multiverse:QuestionResolved', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { question: id, outcome, expired } = event.args
  await db.insert(answer).values({ ...origin, ...event.args })
  await db
    .update(question, { id })
    .set({ status: 'resolved', survivors: [outcome], winner: outcome, expired })
})

/* BALANCES */

ponder.on('Multiverse:PushDown', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { to, survivors, path, ...rest } = event.args
  const outcomes = outcomesIn(survivors)
  await db
    .insert(pushDown)
    .values({ ...origin, ...rest, receiver: to, survivors: outcomes, path: [...path] })
  await openPartition(db, origin, event.args, outcomes)
  if (rest.parent === ROOT) await countDeposit(db, rest.token, rest.amount, 0n)
})

ponder.on('Multiverse:PullUp', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { to, survivors, path, ...rest } = event.args
  const outcomes = outcomesIn(survivors)
  await db
    .insert(pullUp)
    .values({ ...origin, ...rest, receiver: to, survivors: outcomes, path: [...path] })
  // A pull-up can lead to a verse nobody pushed into: an answer may be stripped from anywhere in a path.
  await openPartition(db, origin, event.args, outcomes)
  if (rest.parent === ROOT) await countDeposit(db, rest.token, 0n, rest.amount)
})

ponder.on('Multiverse:Transfer', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { caller, sender, receiver, id, amount } = event.args
  const moved = wordHex(id)
  await db
    .insert(transfer)
    .values({ ...origin, operator: caller, sender, receiver, position: moved, amount })
  if (sender === zeroAddress) await changeSupply(db, moved, amount)
  else await changeBalance(db, sender, moved, -amount)
  if (receiver === zeroAddress) await changeSupply(db, moved, -amount)
  else await changeBalance(db, receiver, moved, amount)
})

/* PERMISSIONS, DESCRIPTIONS */

ponder.on('Multiverse:Approval', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { owner, spender, id, amount } = event.args
  await db.insert(approval).values({ ...origin, owner, spender, position: wordHex(id), amount })
})

ponder.on('Multiverse:OperatorSet', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { owner, spender, approved } = event.args
  await db.insert(operatorChange).values({ ...origin, owner, operator: spender, allowed: approved })
})

ponder.on('Multiverse:RedeemerSet', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { allowed } = event.args
  await db.insert(redeemerChange).values({ ...origin, ...event.args })
  await db.insert(redeemer).values(event.args).onConflictDoUpdate({ allowed })
})

ponder.on('Multiverse:PositionDescribed', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { id, verse: described, token, path } = event.args
  await db
    .insert(positionDescription)
    .values({ ...origin, position: wordHex(id), verse: described, token })
  const verses = path.map((_, index) => verseRow(path.slice(0, index + 1)))
  await writeNew(db, origin, verses, [{ id: wordHex(id), verse: described, token }])
})

/* THE KEEPERS' NOTEBOOK */

ponder.on('Worlds:PartitionReported', async ({ event, context: { db } }) => {
  const { keeper, parent, question: by, worlds, path } = event.args
  const origin = await record(db, event, 1 + worlds.length)
  await db
    .insert(partitionReport)
    .values({ ...origin, keeper, parent, question: by, path: [...path] })
  const { children } = partitionVerses(path, by)
  await db.insert(reportWorld).values(
    worlds.map((world, outcome) => ({
      ...origin,
      ...world,
      keeper,
      parent,
      question: by,
      outcome,
      verse: children[outcome]!.id,
    })),
  )
})

ponder.on('Worlds:ProbabilitiesUpdated', async ({ event, context: { db } }) => {
  const { probabilities, ...of } = event.args
  const origin = await record(db, event, probabilities.length)
  await db
    .insert(probabilityUpdate)
    .values(
      probabilities.map((probability, outcome) => ({ ...origin, ...of, outcome, probability })),
    )
})

/* OPTIMISTIC GAMES */

ponder.on('OptimisticOracle:AnswerGiven', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  await db.insert(gameAnswer).values({ ...origin, oracle: event.log.address, ...event.args })
})

ponder.on('OptimisticOracle:ArbitrationRequested', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  await db
    .insert(arbitrationRequest)
    .values({ ...origin, oracle: event.log.address, ...event.args })
})

ponder.on('OptimisticOracle:ArbitratorRuled', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  await db.insert(arbitratorRuling).values({ ...origin, oracle: event.log.address, ...event.args })
})

ponder.on('OptimisticOracle:BondsClaimed', async ({ event, context: { db } }) => {
  const origin = await record(db, event)
  const { to, ...args } = event.args
  await db.insert(bondClaim).values({ ...origin, oracle: event.log.address, ...args, receiver: to })
})

type Origin = Awaited<ReturnType<typeof record>>

/** Counts the event and its rows into its block and gives back the columns that say where it stands. */
async function record(db: Database, event: LogEvent, rows = 1) {
  const { number, hash, timestamp } = event.block
  await db
    .insert(block)
    .values({ number, hash, timestamp, events: 1, rows })
    .onConflictDoUpdate((row) => ({ events: row.events + 1, rows: row.rows + rows }))
  return {
    eventId: event.id,
    blockNumber: number,
    blockHash: hash,
    blockTimestamp: timestamp,
    txHash: event.transaction.hash,
    logIndex: event.log.logIndex,
  }
}

type Partition = {
  question: Hex
  token: Address
  path: readonly { question: Hex; outcome: number }[]
}

/** Writes the verses and positions that a push-down or pull-up names, where they are new. */
async function openPartition(
  db: Database,
  origin: Origin,
  { question: by, token, path }: Partition,
  survivors: number[],
) {
  const { all, parent, children } = partitionVerses(path, by)
  const held = survivors.map((outcome) => children[outcome]!)
  if (parent.id !== ROOT) held.unshift(parent)
  const positions = held.map(({ id }) => ({ id: positionHex(id, token), verse: id, token }))
  await writeNew(db, origin, all, positions)
}

async function writeNew(
  db: Database,
  origin: Origin,
  verses: VerseRow[],
  positions: { id: Hex; verse: Hex; token: Address }[],
) {
  const written = [
    ...(await db
      .insert(verse)
      .values(verses.map((row) => ({ ...origin, ...row })))
      .onConflictDoNothing()),
    ...(await db
      .insert(position)
      .values(positions.map((row) => ({ ...origin, ...row })))
      .onConflictDoNothing()),
  ]
  const rows = written.filter((row) => row !== null).length
  await db.update(block, { number: origin.blockNumber }).set((row) => ({ rows: row.rows + rows }))
}

async function changeBalance(db: Database, owner: Address, of: Hex, delta: bigint) {
  await db
    .insert(balance)
    .values({ owner, position: of, amount: delta })
    .onConflictDoUpdate((row) => ({ amount: row.amount + delta }))
}

async function changeSupply(db: Database, of: Hex, delta: bigint) {
  await db
    .insert(supply)
    .values({ position: of, amount: delta })
    .onConflictDoUpdate((row) => ({ amount: row.amount + delta }))
}

async function countDeposit(db: Database, token: Address, deposited: bigint, withdrawn: bigint) {
  await db
    .insert(deposit)
    .values({ token, deposited, withdrawn })
    .onConflictDoUpdate((row) => ({
      deposited: row.deposited + deposited,
      withdrawn: row.withdrawn + withdrawn,
    }))
}
