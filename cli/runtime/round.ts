import { setTimeout as sleep } from 'node:timers/promises'
import { formatUnits, type Hex, parseEther, zeroHash } from 'viem'
import { getBlock } from 'viem/actions'
import { z } from 'zod'
import { approve, ask, getBalance, mint, pullUp, pushDown } from '../../sdk/actions.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { gf3, type Trit } from '../../sdk/gf3.ts'
import { childPaths, questionId, ROOT, verseId } from '../../sdk/ids.ts'
import type { PulledOutput, PushedOutput } from '../../sdk/runtimeOutput.ts'
import { parseSpec, specDataUri } from '../../sdk/spec.ts'
import { costWev } from '../../sdk/wev.ts'
import { withAnalytics } from '../analytics.ts'
import { answerThrough } from '../answer.ts'
import { usageError } from '../errors.ts'
import { OUTCOMES, type Outcome, pigouSpec } from '../scenario/spec.ts'
import type { KeeperApi, PartitionView } from '../services.ts'
import type { OwnedOptions, Site } from './site.ts'

// One round of the game that the seeds play: a question about a seed, split, run and reported; then answered and pulled up.

/** How long worlds may take to be run, verified and reported. */
const REPORT_MS = 300_000
const MIRROR_MS = 60_000
const WEEK_S = 604_800n

type Split = Omit<PushedOutput, 'tx' | 'block'> & { partition: PartitionView }

export type PlayOptions = OwnedOptions & { amount: string; optimize?: boolean }
/**
 * Asks about a seed, pushes down, and waits until the keeper has reported the worlds.
 * @throws NOT_REPORTED when it takes longer than five minutes, and what the keeper failed with
 */
export async function pushSeed(
  site: Site,
  seed: number,
  { amount: text, optimize = false }: PlayOptions,
): Promise<Split & Written> {
  const { context, keeper, token, owner, progress } = site
  const amount = amountFrom(text)
  const wallet = await context.wallet()
  const { multiverse } = context.deployment.addresses
  progress.begin('asking and pushing down')
  const json = JSON.stringify({
    ...pigouSpec({ degree: 1, seed }),
    needs: { parallel: true, optimize, verify: true },
  })
  const { labels, specHash } = parseSpec(json)
  const { timestamp, number } = await getBlock(context.client)
  const terms = {
    oracle: await keeper.address(),
    outcomes: labels.length,
    // Each run has a question of its own: a local chain's time may stand still from block to block, its height does not.
    deadline: timestamp + WEEK_S + number,
    specHash,
    termsHash: zeroHash,
  }
  await ask(wallet, { multiverse, uri: specDataUri(json), ...terms })
  const question = questionId(terms)
  await mint(wallet, { token, to: owner, amount })
  await approve(wallet, { token, spender: multiverse, amount })
  const pushed = await pushDown(wallet, { multiverse, path: [], question, token, amount })
  progress.begin('running the worlds')
  const partition = await reported(keeper, question)
  const verses = await Promise.all(
    childPaths([], question).map(async (path, outcome) => {
      const world = partition.worlds.find((each) => each.outcome === outcome)
      const verse = verseId(path)
      const held = await getBalance(context.client, { multiverse, verse, token, owner })
      return {
        name: OUTCOMES[outcome] ?? `${outcome}`,
        verse,
        world: world?.entityId ?? null,
        trit: world?.trit ?? null,
        cost: world?.cost == null ? null : formatUnits(BigInt(world.cost), 18),
        verified: world?.isVerified ?? false,
        balance: formatUnits(held, 18),
        sum: world?.lane.sum ?? null,
        conserved: world?.lane.conserved ?? true,
      }
    }),
  )
  const trits = gf3(verses.flatMap(({ trit }): Trit[] => (trit === null ? [] : [trit])))
  return {
    partition,
    question,
    token,
    amount: formatUnits(amount, 18),
    owner,
    reportMs: partition.timings.blockToReportMs,
    verses,
    gf3Sum: trits.sum,
    conserved: trits.conserved && verses.every(({ conserved }) => conserved),
    tx: pushed.hash,
    block: Number(pushed.receipt.blockNumber),
  }
}

type Written = { tx: Hex; block: number }

async function reported(keeper: KeeperApi, question: Hex): Promise<PartitionView> {
  const deadline = Date.now() + REPORT_MS
  for (;;) {
    const view = await keeper.partition(ROOT, question).catch((error: unknown) => {
      // It may be being started again.
      if (isMultiverseError(error, 'NO_KEEPER')) return undefined
      throw error
    })
    if (view?.error) throw new MultiverseError(view.error.code, view.error.message)
    if (view !== undefined && view.state !== 'running') return view
    if (Date.now() > deadline)
      throw new MultiverseError('NOT_REPORTED', `no report on question ${question} in time`)
    await sleep(20)
  }
}

/**
 * Has the keeper answer, pulls up what the owner holds in the winning verse, and waits until the analytics know.
 * @throws NOT_MIRRORED when they do not within a minute
 */
export async function pullBack(site: Site, partition: PartitionView, outcome: Outcome) {
  const { context, keeper, token, owner, progress } = site
  const { question } = partition
  const { multiverse } = context.deployment.addresses
  const winner = OUTCOMES.indexOf(outcome)
  progress.begin('answering and pulling up')
  const answered = await answerThrough(keeper, context, question, winner)
  const verse = verseId(childPaths([], question)[winner]!)
  const held = await getBalance(context.client, { multiverse, verse, token, owner })
  const pulled =
    held === 0n
      ? null
      : await pullUp(await context.wallet(), {
          multiverse,
          path: [],
          question,
          token,
          amount: held,
        })
  const written =
    pulled === null ? answered : { tx: pulled.hash, block: Number(pulled.receipt.blockNumber) }
  progress.begin('waiting for the analytics')
  const { nominal, realized, resolution } = await mirrored(site, question)
  const names = OUTCOMES.filter((name) => name !== outcome)
  return {
    oracle: outcome,
    winner: outcome,
    advised: partition.winner === null ? null : (OUTCOMES[partition.winner] ?? null),
    collapsed: names,
    redeemed: formatUnits(held, 18),
    wev: { ...costsOf(partition), nominal, realized },
    resolution,
    ...written,
  }
}

/** What the worlds' costs say: selfish players cost what they came to by themselves. */
function costsOf({ worlds }: PartitionView): Pick<PulledOutput['wev'], 'ratio' | 'abs'> {
  const [nash, optimal] = worlds
  const costNash = nash?.optimized?.ownCost ?? nash?.cost
  if (costNash == null || optimal?.cost == null) return { ratio: null, abs: null }
  const { wevRatio, wevAbs } = costWev(BigInt(costNash), BigInt(optimal.cost))
  return {
    ratio: wevRatio === null ? null : formatUnits(wevRatio, 18),
    abs: formatUnits(wevAbs, 18),
  }
}

const integer = z.string().regex(/^-?\d+$/)
const mirroredRow = z.tuple([z.string(), integer, integer.nullable()])

/** What DuckDB makes of the answer, once it knows of it: from the chain the amounts, from the journal the resolution. */
async function mirrored({ context, token }: Site, question: Hex) {
  const sql = `
    SELECT r.resolution_id, w.wev_nominal::VARCHAR, w.wev_realized::VARCHAR
    FROM resolutions r
    JOIN verse_resolutions v USING (resolution_id)
    JOIN wev_exact w ON w.question = r.question AND w.token = $2
    WHERE r.question = $1`
  return withAnalytics({ data: context.dataDir }, async (analytics) => {
    const deadline = Date.now() + MIRROR_MS
    for (;;) {
      const { rows } = await analytics.sql(sql, [question, token.toLowerCase()])
      if (rows[0] !== undefined) {
        const [resolution, nominal, realized] = mirroredRow.parse(rows[0])
        return {
          resolution,
          nominal: formatUnits(BigInt(nominal), 18),
          realized: realized === null ? null : formatUnits(BigInt(realized), 18),
        }
      }
      if (Date.now() > deadline)
        throw new MultiverseError('NOT_MIRRORED', `DuckDB knows no resolution of ${question} yet`)
      await sleep(50)
    }
  })
}

function amountFrom(text: string): bigint {
  if (!/^\d+(\.\d{1,18})?$/.test(text) || Number(text) === 0)
    throw usageError(`${text} is no amount: a decimal number above 0`)
  return parseEther(text)
}
