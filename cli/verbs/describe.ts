import type { Path } from '../../sdk/ids.ts'
import type { Names } from '../path.ts'

/** A path in JSON: each answer with its label, null when the spec cannot be read. */
export function describePath(path: Path, names: Names) {
  return Promise.all(
    path.map(async ({ question, outcome }) => ({
      question,
      outcome,
      label: (await names.labels(question))?.[outcome] ?? null,
    })),
  )
}
