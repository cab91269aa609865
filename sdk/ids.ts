import {
  type Address,
  concatHex,
  encodeAbiParameters,
  type Hex,
  hexToBigInt,
  keccak256,
  numberToHex,
  toBytes,
} from 'viem'
import { MultiverseError } from './errors.ts'

/** One answer to one question; `outcome` is 0-based. */
export type Answer = { question: Hex; outcome: number }

/** A verse's canonical path: answers in strictly ascending question id. Empty for ROOT. */
export type Path = readonly Answer[]

/** Today's universe: no question answered. */
export const ROOT: Hex = `0x${'0'.repeat(64)}`

/** Amounts are at most this, so that every sum of a few of them fits 128 signed bits. */
export const MAX_AMOUNT = 2n ** 127n - 1n

export const MIN_OUTCOMES = 2
export const MAX_OUTCOMES = 254

const WORD = [{ type: 'bytes32' }] as const
const LOW_8 = 0xffn
const LOW_16 = 0xffffn

/** What a question's id is derived from. `deadline` in Unix seconds. */
export type QuestionTerms = {
  oracle: Address
  outcomes: number
  deadline: bigint
  specHash: Hex
  termsHash: Hex
}

/**
 * Hash of the labels of a question's outcomes, in order: keccak256 of the concatenated keccak256 of each label, so that a
 * contract can check one label against the 32-byte hashes of the others.
 */
export function labelsHash(labels: readonly string[]): Hex {
  return keccak256(concatHex(labels.map((label) => keccak256(toBytes(label)))))
}

/** keccak256 of the exact UTF-8 bytes of a spec's JSON. */
export function contentHash(json: string): Hex {
  return keccak256(toBytes(json))
}

/** The spec hash a question binds: keccak256(abi.encode(contentHash, labelsHash)). */
export function specHash(parts: { contentHash: Hex; labelsHash: Hex }): Hex {
  return keccak256(encodeAbiParameters([...WORD, ...WORD], [parts.contentHash, parts.labelsHash]))
}

/** Solidity twin: `QuestionIds.derive`. */
export function questionId(terms: QuestionTerms): Hex {
  const hash = keccak256(
    encodeAbiParameters(
      [
        { type: 'address' },
        { type: 'uint8' },
        { type: 'uint64' },
        { type: 'bytes32' },
        { type: 'bytes32' },
      ],
      [terms.oracle, terms.outcomes, terms.deadline, terms.specHash, terms.termsHash],
    ),
  )
  return word((hexToBigInt(hash) & ~LOW_8) | BigInt(terms.outcomes))
}

/** How many answers a question has, read from its id. */
export function outcomesOf(question: Hex): number {
  return Number(hexToBigInt(question) & LOW_8)
}

/** Solidity twin: `VerseIds.partition`. Names a parent verse split by a question. */
export function partitionId(parent: Hex, question: Hex): Hex {
  const hash = keccak256(encodeAbiParameters([...WORD, ...WORD], [parent, question]))
  return word(hexToBigInt(hash) & ~LOW_16)
}

/** Solidity twin: `VerseIds.child`. */
export function childVerse(parent: Hex, question: Hex, outcome: number): Hex {
  const partition = hexToBigInt(partitionId(parent, question))
  return word(partition | BigInt(outcomesOf(question) << 8) | BigInt(outcome))
}

/**
 * The id of the verse with this path; ROOT for an empty one. Solidity twin: `Multiverse.verseId`.
 * @throws PATH_NOT_ASCENDING, OUTCOME_OUT_OF_RANGE
 */
export function verseId(path: Path): Hex {
  let verse = ROOT
  let previous: Hex | undefined
  for (const [index, { question, outcome }] of path.entries()) {
    if (previous !== undefined && hexToBigInt(question) <= hexToBigInt(previous))
      throw new MultiverseError(
        'PATH_NOT_ASCENDING',
        `path does not ascend at index ${index}: ${question}`,
      )
    if (!Number.isInteger(outcome) || outcome < 0 || outcome >= outcomesOf(question))
      throw new MultiverseError(
        'OUTCOME_OUT_OF_RANGE',
        `outcome ${outcome} is not below ${outcomesOf(question)} in question ${question}`,
      )
    verse = childVerse(verse, question, outcome)
    previous = question
  }
  return verse
}

/** The canonical path of a set of answers given in any order. @throws QUESTION_IN_PATH when one question stands twice. */
export function canonicalPath(answers: readonly Answer[]): Answer[] {
  return answers.reduce<Answer[]>((path, answer) => insertAnswer(path, answer), [])
}

/** `path` with `answer` put where its question sorts. @throws QUESTION_IN_PATH */
export function insertAnswer(path: Path, answer: Answer): Answer[] {
  const question = hexToBigInt(answer.question)
  const at = path.findIndex((step) => hexToBigInt(step.question) >= question)
  if (at === -1) return [...path, answer]
  if (hexToBigInt(path[at]!.question) === question)
    throw new MultiverseError('QUESTION_IN_PATH', `question ${answer.question} stands in the path`)
  return [...path.slice(0, at), answer, ...path.slice(at)]
}

/** `path` without the answer to `question`. @throws QUESTION_NOT_IN_PATH */
export function removeAnswer(path: Path, question: Hex): Answer[] {
  const rest = path.filter((step) => hexToBigInt(step.question) !== hexToBigInt(question))
  if (rest.length === path.length)
    throw new MultiverseError('QUESTION_NOT_IN_PATH', `question ${question} is not in the path`)
  return rest
}

/** The children of the verse at `path` by `question`, as paths indexed by outcome, void last. */
export function childPaths(path: Path, question: Hex): Answer[][] {
  return Array.from({ length: outcomesOf(question) }, (_, outcome) =>
    insertAnswer(path, { question, outcome }),
  )
}

/** Solidity twin: `PositionIds.derive`. The ERC-6909 id of `token` inside `verse`. */
export function positionId(verse: Hex, token: Address): bigint {
  const raw = hexToBigInt(verse)
  const hash = keccak256(
    encodeAbiParameters([...WORD, { type: 'address' }], [word(raw & ~LOW_16), token]),
  )
  return (hexToBigInt(hash) & ~LOW_16) | (raw & LOW_16)
}

/** Solidity twin: `PositionIds.set`. The ledger's key of the complete set of a position's group. */
export function setId(id: bigint): bigint {
  return id | LOW_8
}

/** Solidity twin: `PositionIds.isPhantom`. Whether the id names an outcome that cannot exist. */
export function isPhantom(id: bigint): boolean {
  return (id & LOW_8) >= ((id >> 8n) & LOW_8)
}

/** The outcomes in a bit mask, ascending. */
export function outcomesIn(mask: bigint): number[] {
  const outcomes: number[] = []
  for (let outcome = 0; mask >> BigInt(outcome) > 0n; outcome++)
    if ((mask >> BigInt(outcome)) & 1n) outcomes.push(outcome)
  return outcomes
}

/** The bit mask with all outcomes of a question still possible. */
export function fullMask(outcomes: number): bigint {
  return (1n << BigInt(outcomes)) - 1n
}

function word(value: bigint): Hex {
  return numberToHex(value, { size: 32 })
}
