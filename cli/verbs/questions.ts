import { isAddressEqual } from 'viem'
import type { QuestionsOutput, QuestionState } from '../../sdk/output.ts'
import { type CommonOptions, openContext } from '../context.ts'
import { readHistory } from '../history.ts'
import { plain, type Result, table } from '../output.ts'
import { shortId } from '../path.ts'
import { createUniverse } from '../universe.ts'
import { nameOf } from '../wallets.ts'
import { describeQuestion, showState } from './question.ts'

export type QuestionsOptions = CommonOptions & { state?: QuestionState; oracle?: string }

/** Every question, in the order in which they were asked. */
export async function questionsVerb(options: QuestionsOptions): Promise<Result<QuestionsOutput>> {
  const context = await openContext(options)
  const { catalog, isLocal } = context
  const oracle = options.oracle === undefined ? undefined : context.address(options.oracle)
  const chosen = createUniverse(await readHistory(context)).questions.filter(
    (facts) =>
      (options.state === undefined || facts.state === options.state) &&
      (oracle === undefined || isAddressEqual(facts.oracle, oracle)),
  )
  await catalog.readAll()
  const questions = await Promise.all(chosen.map((facts) => describeQuestion(context, facts)))
  return {
    json: { questions },
    text:
      questions.length === 0
        ? 'no questions: ask one with `multiverse ask`'
        : table(
            questions.map((each) => [
              shortId(each.question),
              showState(each),
              nameOf(each.oracle, isLocal),
              plain(each.title ?? '(the spec cannot be read)'),
            ]),
            ['question', 'state', 'oracle', 'title'],
          ),
  }
}
