import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import { answerThrough } from '../answer.ts'
import { type CommonOptions, openContext } from '../context.ts'
import { type Result, table } from '../output.ts'
import { resolveOutcome, resolveQuestion } from '../path.ts'
import { createKeeperApi } from '../services.ts'

export type ResolveOptions = CommonOptions & { question: string; outcome: string }

/** Tells the keeper, as the question's oracle, what the answer is, and waits until it stands on the chain. */
export async function resolveVerb(options: ResolveOptions): Promise<Result> {
  const context = await openContext(options)
  const { catalog } = context
  const question = await resolveQuestion(options.question, catalog)
  const outcome = await resolveOutcome(question, options.outcome, catalog)
  const keeper = createKeeperApi(() => keeperSocketPath(context.dataDir))
  const answered = await answerThrough(keeper, context, question, outcome)
  const label = (await catalog.labels(question))?.[outcome] ?? null
  return {
    json: { question, outcome, label, ...answered },
    text: table([
      ['question', question],
      ['answer', label ?? `${outcome}`],
      ['tx', answered.tx],
    ]),
  }
}
