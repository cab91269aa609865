import { type Hex, isHex } from 'viem'
import { MultiverseError } from '../sdk/errors.ts'
import { type Answer, canonicalPath, outcomesOf, type Path } from '../sdk/ids.ts'
import { plain } from './output.ts'

/** One step of a path as a person writes it. */
export type Step = { question: string; outcome: string }

/** What is needed to read a path: which questions there are, and what their answers are called. */
export type Names = {
  /** Every known question. */
  questions: () => Promise<readonly Hex[]>
  /** A question's labels in order, void last; undefined when its spec cannot be read. */
  labels: (question: Hex) => Promise<readonly string[] | undefined>
  /** A question's title; undefined when its spec cannot be read. */
  title: (question: Hex) => Promise<string | undefined>
}

/** The fewest hex digits that name a question. */
const MIN_PREFIX = 6
/** The hex digits people are shown. */
const SHORT_PREFIX = 8
/** So many candidates of an ambiguous name are listed. */
const MAX_CANDIDATES = 8

/**
 * Splits `QUESTION=OUTCOME,QUESTION=OUTCOME`; `root` and the empty text are ROOT.
 * @throws INVALID_PATH
 */
export function parseSteps(text: string): Step[] {
  if (text === '' || text.toLowerCase() === 'root') return []
  return text.split(',').map((part) => {
    const at = part.indexOf('=')
    const question = part.slice(0, at).trim()
    const outcome = part.slice(at + 1).trim()
    if (at < 1 || question === '' || outcome === '')
      throw new MultiverseError(
        'INVALID_PATH',
        `${part === '' ? 'an empty step' : part} is not QUESTION=OUTCOME: write root, or steps such as 1a2b3c=yes joined by commas`,
      )
    return { question, outcome }
  })
}

/**
 * Reads a path as a person writes it, in any order.
 * @throws INVALID_PATH, QUESTION_IN_PATH and what {@link resolveQuestion} and {@link resolveOutcome} throw
 */
export async function resolvePath(text: string, names: Names): Promise<Answer[]> {
  const answers: Answer[] = []
  for (const step of parseSteps(text)) {
    const question = await resolveQuestion(step.question, names)
    answers.push({ question, outcome: await resolveOutcome(question, step.outcome, names) })
  }
  return canonicalPath(answers)
}

/**
 * A question by its id, six or more of its first hex digits (0x or not), its title, or its slug. Titles are anybody's to
 * choose: where several questions answer to a name, none is taken.
 * @throws INVALID_QUESTION, UNKNOWN_QUESTION, AMBIGUOUS_QUESTION naming the candidates
 */
export async function resolveQuestion(text: string, names: Names): Promise<Hex> {
  const wanted = slug(text)
  const prefix: Hex = `0x${text.replace(/^0x/i, '').toLowerCase()}`
  const isId = isHex(prefix) && prefix.length >= 2 + MIN_PREFIX && prefix.length <= 66
  if (!isId && (wanted === '' || /^0x/i.test(text)))
    throw new MultiverseError(
      'INVALID_QUESTION',
      `${text} is not a question: give its id, ${MIN_PREFIX} or more of its first hex digits, or its title`,
    )
  const all = await names.questions()
  const byId = isId ? all.filter((id) => id.startsWith(prefix)) : []
  const byTitle = /^0x/i.test(text) || prefix.length === 66 ? [] : await titled(wanted, all, names)
  const found = [...new Set([...byId, ...byTitle])]
  const [only, another] = found
  if (only === undefined)
    throw new MultiverseError(
      'UNKNOWN_QUESTION',
      `${isId ? `no question begins with ${prefix}` : `no question is called ${text}`}: see \`multiverse questions\``,
    )
  if (another !== undefined)
    throw new MultiverseError(
      'AMBIGUOUS_QUESTION',
      `${text} may be ${found.length} questions: ${await candidates(found, names)}`,
    )
  return only
}

/** A title as it can be typed: lower-case words joined by dashes. */
export function slug(title: string): string {
  return title
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
    .replaceAll(/^-|-$/g, '')
}

async function titled(wanted: string, questions: readonly Hex[], names: Names): Promise<Hex[]> {
  const titles = await Promise.all(questions.map((question) => names.title(question)))
  return questions.filter((_, index) => {
    const title = titles[index]
    return title !== undefined && slug(title) === wanted
  })
}

/** Each with enough digits to tell it from the others, and its title. */
async function candidates(found: readonly Hex[], names: Names): Promise<string> {
  const shown = found.slice(0, MAX_CANDIDATES)
  let digits = 2 + SHORT_PREFIX
  while (digits < 66 && new Set(found.map((id) => id.slice(0, digits))).size < found.length)
    digits++
  const described = await Promise.all(
    shown.map(async (id) => {
      const title = await names.title(id)
      return title === undefined ? id.slice(0, digits) : `${id.slice(0, digits)} (${plain(title)})`
    }),
  )
  const rest = found.length - shown.length
  return [...described, ...(rest > 0 ? [`and ${rest} more`] : [])].join(', ')
}

/**
 * An outcome of a question by its label, else by its number.
 * @throws UNKNOWN_OUTCOME, OUTCOME_OUT_OF_RANGE
 */
export async function resolveOutcome(question: Hex, text: string, names: Names): Promise<number> {
  const labels = await names.labels(question)
  const index = labels?.indexOf(text) ?? -1
  if (index !== -1) return index
  if (!/^\d+$/.test(text))
    throw new MultiverseError(
      'UNKNOWN_OUTCOME',
      labels === undefined
        ? `the labels of question ${question} cannot be read: give ${text} as a number`
        : `question ${question} has no outcome ${text}: one of ${labels.join(', ')}`,
    )
  const outcome = Number(text)
  const outcomes = outcomesOf(question)
  if (outcome >= outcomes)
    throw new MultiverseError(
      'OUTCOME_OUT_OF_RANGE',
      `outcome ${text} is not below ${outcomes} in question ${question}`,
    )
  return outcome
}

/** A path as people are shown it, in the syntax they write it in. */
export async function formatPath(path: Path, names: Names): Promise<string> {
  if (path.length === 0) return 'root'
  const steps = await Promise.all(
    path.map(async ({ question, outcome }) => {
      const label = (await names.labels(question))?.[outcome]
      return `${shortId(question)}=${label === undefined ? outcome : plain(label)}`
    }),
  )
  return steps.join(',')
}

/** The first digits of an id, enough to name it by. */
export function shortId(id: Hex): string {
  return id.slice(0, 2 + SHORT_PREFIX)
}
