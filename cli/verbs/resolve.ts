import { type Address, type Hex, isAddressEqual } from 'viem'
import { expire, getQuestion, narrow, type Written } from '../../sdk/actions.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { outcomesIn } from '../../sdk/ids.ts'
import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import { oraclesOf } from '../../sdk/terms.ts'
import type { NarrowOutput } from '../../sdk/output.ts'
import { answerThrough } from '../answer.ts'
import { type CommonOptions, type Context, openContext } from '../context.ts'
import { plain, type Result, table } from '../output.ts'
import { resolveOutcome, resolveQuestion } from '../path.ts'
import { createKeeperApi, type KeeperApi } from '../services.ts'
import { isRunning, readStack } from '../stack/record.ts'
import { nameOf } from '../wallets.ts'

type OfQuestion = CommonOptions & { question: string }
export type ResolveOptions = OfQuestion & { outcome: string }
export type NarrowOptions = OfQuestion & { survivors: string }
export type ExpireOptions = OfQuestion

/**
 * Answers a question: with the wallet when it is the question's oracle, else through the keeper of the running stack when
 * that is. Waits until the answer stands on the chain; where the oracle is a contract, the keeper is told what to propose or to
 * sign there, and that is not waited for.
 * @throws NOT_ORACLE when the oracle is neither
 */
export async function resolveVerb(options: ResolveOptions): Promise<Result<NarrowOutput>> {
  const context = await openContext(options)
  const { catalog, deployment } = context
  const question = await resolveQuestion(options.question, catalog)
  const outcome = await resolveOutcome(question, options.outcome, catalog)
  const { multiverse } = deployment.addresses
  const { oracle } = await getQuestion(context.client, { multiverse, question })
  const keeper = createKeeperApi(() => keeperSocketPath(context.dataDir))
  if (await isOracle(context, oracle, options)) {
    const survivors = 1n << BigInt(outcome)
    const written = await narrow(await context.wallet(), { multiverse, question, survivors })
    return decidedBy(context, question, [outcome], written)
  }
  if (Object.values(oraclesOf(deployment)).some((each) => isAddressEqual(each, oracle))) {
    await keeper.answer(question, outcome)
    return decided(context, question, [outcome], { tx: null, block: null })
  }
  await assertKeeperIs(keeper, oracle, context)
  return decided(
    context,
    question,
    [outcome],
    await answerThrough(keeper, context, question, outcome),
  )
}

/** Rules outcomes out with the wallet, which must be the question's oracle. */
export async function narrowVerb(options: NarrowOptions): Promise<Result<NarrowOutput>> {
  const context = await openContext(options)
  const { catalog, deployment } = context
  const question = await resolveQuestion(options.question, catalog)
  const outcomes = await Promise.all(
    options.survivors.split(',').map((text) => resolveOutcome(question, text.trim(), catalog)),
  )
  const survivors = outcomes.reduce((mask, outcome) => mask | (1n << BigInt(outcome)), 0n)
  const { multiverse } = deployment.addresses
  const written = await narrow(await context.wallet(), { multiverse, question, survivors })
  return decidedBy(context, question, outcomesIn(survivors), written)
}

/** Writes down that the deadline has decided a question. */
export async function expireVerb(options: ExpireOptions): Promise<Result<NarrowOutput>> {
  const context = await openContext(options)
  const question = await resolveQuestion(options.question, context.catalog)
  const { multiverse } = context.deployment.addresses
  const written = await expire(await context.wallet(), { multiverse, question })
  const { winner } = await getQuestion(context.client, { multiverse, question })
  return decidedBy(context, question, [winner], written)
}

/** Whether the wallet is the question's oracle. */
async function isOracle(context: Context, oracle: Address, { as }: CommonOptions) {
  try {
    return isAddressEqual(await context.walletAddress(), oracle)
  } catch (error) {
    // Without a wallet there may still be a keeper.
    if (as === undefined && isMultiverseError(error, 'NO_WALLET')) return false
    throw error
  }
}

/**
 * Checks that the keeper of the data folder can answer. One that the stack is starting again is waited for by the answer.
 * @throws NOT_ORACLE, NO_KEEPER
 */
async function assertKeeperIs(
  keeper: KeeperApi,
  oracle: Address,
  { dataDir, isLocal }: Context,
): Promise<void> {
  const running = await keeper.address().catch(async (error: unknown) => {
    if (!isMultiverseError(error, 'NO_KEEPER')) throw error
    const stack = await readStack(dataDir)
    return stack !== undefined && (await isRunning(stack.supervisor))
      ? (stack.keeper ?? undefined)
      : undefined
  })
  if (running !== undefined && isAddressEqual(running, oracle)) return
  const name = nameOf(oracle, isLocal)
  if (running === undefined && name === 'keeper')
    throw new MultiverseError(
      'NO_KEEPER',
      `only the keeper can answer it, and none runs on ${dataDir}: start one with \`npm start\``,
    )
  throw new MultiverseError(
    'NOT_ORACLE',
    `only ${name} can answer it: name that wallet with --as, or settle it at that contract`,
  )
}

async function decidedBy(
  context: Context,
  question: Hex,
  survivors: number[],
  { hash, receipt }: Written,
) {
  return decided(context, question, survivors, { tx: hash, block: Number(receipt.blockNumber) })
}

async function decided(
  { catalog }: Context,
  question: Hex,
  survivors: number[],
  { tx, block }: { tx: Hex | null; block: number | null },
): Promise<Result<NarrowOutput>> {
  const labels = await catalog.labels(question)
  const name = (outcome: number) => plain(labels?.[outcome] ?? `${outcome}`)
  const outcome = survivors.length === 1 ? survivors[0]! : null
  return {
    json: {
      question,
      outcome,
      label: outcome === null ? null : (labels?.[outcome] ?? null),
      survivors,
      tx,
      block,
    },
    text: table([
      ['question', question],
      outcome === null ? ['possible', survivors.map(name).join(', ')] : ['answer', name(outcome)],
      tx === null ? ['keeper', 'answers there: multiverse keeper duties'] : ['tx', tx],
    ]),
  }
}
