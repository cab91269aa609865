import { formatUnits, type Hex } from 'viem'
import { childPaths, outcomesIn, verseId } from '../../sdk/ids.ts'
import type { QuestionOutput, QuestionState } from '../../sdk/output.ts'
import { type CommonOptions, type Context, openContext } from '../context.ts'
import { readHistory } from '../history.ts'
import { paint, plain, type Result, table } from '../output.ts'
import { formatPath, resolveQuestion, slug } from '../path.ts'
import { createSupplies, showSupply } from '../supply.ts'
import {
  createUniverse,
  type PartitionFacts,
  type QuestionFacts,
  type Universe,
} from '../universe.ts'
import { nameOf } from '../wallets.ts'
import { describeWorld } from '../worlds.ts'
import { describePath } from './describe.ts'

/** Everything about one question: its terms and spec, how it stands, and what it split. */
export async function questionVerb(
  text: string,
  options: CommonOptions,
): Promise<Result<QuestionOutput>> {
  const context = await openContext(options)
  const question = await resolveQuestion(text, context.catalog)
  const universe = createUniverse(await readHistory(context))
  const facts = universe.questions.find((each) => each.question === question)!
  const loaded = await context.catalog.spec(question)
  const partitions = universe.partitions.filter((each) => each.question === question)
  const json: QuestionOutput = {
    ...(await describeQuestion(context, facts)),
    possible: outcomesIn(facts.live),
    narrowings: facts.narrowings.map(({ survivors, ...place }) => ({
      survivors: outcomesIn(survivors),
      ...place,
    })),
    asked: facts.asked,
    resolved:
      facts.resolved === null ? null : { tx: facts.resolved.tx, block: facts.resolved.block },
    specHash: facts.specHash,
    termsHash: facts.termsHash,
    spec: loaded?.spec ?? null,
    partitions: await Promise.all(
      partitions.map((partition) => describePartition(context, universe, partition)),
    ),
  }
  return { json, text: showQuestion(json, context) }
}

/** What `question` and `questions` both say of a question. */
export async function describeQuestion(
  { catalog }: Pick<Context, 'catalog'>,
  facts: QuestionFacts,
) {
  const { question, oracle, outcomes, state, resolved } = facts
  const loaded = await catalog.spec(question)
  const winner = state === 'open' ? null : outcomesIn(facts.live)[0]!
  return {
    question,
    title: loaded?.spec.title ?? null,
    slug: loaded === undefined ? null : slug(loaded.spec.title),
    oracle,
    outcomes,
    labels: loaded?.labels ?? null,
    deadline: Number(facts.deadline),
    state,
    answer:
      winner === null
        ? null
        : {
            outcome: winner,
            label: loaded?.labels[winner] ?? null,
            recorded: resolved !== null,
          },
  }
}

/** How a question stands, on one line. */
export function showState({
  state,
  answer,
  deadline,
}: Pick<QuestionOutput, 'state' | 'answer' | 'deadline'>): string {
  const winner = answer === null ? '' : plain(answer.label ?? `${answer.outcome}`)
  const shown = {
    open: `open until ${showTime(deadline)}`,
    answered: `answered: ${paint('green', winner)}`,
    expired: `expired: ${winner}${answer?.recorded === true ? '' : ' (not recorded yet)'}`,
  } satisfies Record<QuestionState, string>
  return shown[state]
}

/** Unix seconds as people read them. */
function showTime(seconds: number): string {
  const milliseconds = seconds * 1000
  // A deadline may be later than any date there is.
  return milliseconds > 8.64e15
    ? `${seconds}`
    : new Date(milliseconds)
        .toISOString()
        .replace(/:\d\d\.000Z$/, 'Z')
        .replace('T', ' ')
}

async function describePartition(
  context: Context,
  universe: Universe,
  { parent, path, question }: PartitionFacts,
): Promise<QuestionOutput['partitions'][number]> {
  const { catalog } = context
  const supplies = createSupplies(context, universe)
  const labels = await catalog.labels(question)
  const label = (outcome: number) => labels?.[outcome] ?? null
  return {
    parent,
    name: await formatPath(path, catalog),
    path: await describePath(path, catalog),
    children: await Promise.all(
      childPaths(path, question).map(async (child, outcome) => ({
        verse: verseId(child),
        outcome,
        label: label(outcome),
        state: universe.state(child),
        supply: await supplies(verseId(child)),
      })),
    ),
    reports: universe.reports
      .filter((report) => report.parent === parent && report.question === question)
      .map(({ keeper, tx, block, worlds }) => ({
        tx,
        block,
        keeper,
        worlds: worlds.map((world, outcome) => ({
          outcome,
          label: label(outcome),
          probability: formatUnits(world.probability, 18),
          ...describeWorld(world),
        })),
      })),
  }
}

function showQuestion(json: QuestionOutput, { isLocal }: Context): string {
  const name = (outcome: number) => plain(json.labels?.[outcome] ?? `${outcome}`)
  const names = (outcomes: readonly number[]) => outcomes.map(name).join(', ')
  const all = Array.from({ length: json.outcomes }, (_, outcome) => outcome)
  const source = json.spec === null ? '(the spec cannot be read)' : json.spec.outcome.source
  const head = table([
    ['question', json.question],
    ['title', plain(json.title ?? '(the spec cannot be read)')],
    ['outcomes', names(all)],
    ['oracle', nameOf(json.oracle, isLocal)],
    ['answer from', source],
    ['deadline', showTime(json.deadline)],
    ['state', showState(json)],
    ...(json.state === 'open' && json.possible.length < json.outcomes
      ? [['possible', names(json.possible)]]
      : []),
    ...json.narrowings.map(({ survivors, tx }) => ['narrowed', `to ${names(survivors)} in ${tx}`]),
    ['spec', json.specHash],
    ['asked in', json.asked.tx],
    ...(json.resolved === null ? [] : [['decided in', json.resolved.tx]]),
  ])
  const partitions = json.partitions.flatMap((partition) => [
    '',
    `${partition.name} is split into`,
    table(
      partition.children.map(({ outcome, state, supply }) => [
        name(outcome),
        showSupply(supply),
        state,
      ]),
      ['verse', 'supply', 'state'],
    ),
    ...partition.reports.flatMap(({ keeper, worlds }) => [
      '',
      `and ${nameOf(keeper, isLocal)} reported`,
      table(
        worlds.map(({ outcome, probability, trit, cost, verdict, stateRoot }) => [
          name(outcome),
          probability,
          ...(verdict === 'no world'
            ? ['', '', '', verdict]
            : [`${trit}`, cost, short(stateRoot), verdict]),
        ]),
        ['verse', 'probability', 'trit', 'cost', 'state root', 'verdict'],
      ),
    ]),
  ])
  return [head, ...partitions].join('\n')
}

/** A state root, as far as people compare it. */
export function short(stateRoot: Hex): string {
  return stateRoot.slice(0, 18)
}
