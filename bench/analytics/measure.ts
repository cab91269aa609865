import { oneLine } from '../../sdk/errors.ts'
import { summarize, time } from '../harness.ts'
import type { Asked, Question } from './questions.ts'

/** A question, what was answered, and how long that took: milliseconds. */
export type Measured = {
  question: Question
  rows: readonly (readonly unknown[])[]
  sample: number[]
  median: number
}

/** Enough for a 95th percentile, but no more than seconds of one question. */
const REPETITIONS = { warmup: 1, repetitions: 20, withinMs: 1_500 }

/** Puts questions one after another. @throws what went wrong with which question */
export async function measure(asked: Asked, questions: readonly Question[]): Promise<Measured[]> {
  const all: Measured[] = []
  for (const question of questions) {
    const ask = () => asked.sql(question.sql, question.values)
    try {
      const { rows } = await ask()
      const sample = await time(ask, REPETITIONS)
      all.push({ question, rows, sample, median: summarize(sample).median })
    } catch (cause) {
      throw new Error(`${question.name}: ${oneLine(cause)}`, { cause })
    }
  }
  return all
}
