import type { z } from 'zod'
import {
  askOutput,
  balanceOutput,
  eventOutput,
  moveOutput,
  narrowOutput,
  questionOutput,
  questionsOutput,
  redeemerOutput,
  redeemersOutput,
  signOutput,
  transferOutput,
  verseOutput,
  versesOutput,
  worldsOutput,
} from '../../sdk/output.ts'
import type { Fixture } from './fixture.ts'

/** A verb that speaks to a chain: a command line that works on the fixture as often as it is run, and what it prints. */
export type Row = {
  verb: string
  schema: z.ZodType
  line: (fixture: Fixture) => string
  /** What it is asked about, as it stands in the line, when that can be something unknown or ambiguous. */
  names?: (fixture: Fixture) => string
  /** Whether it sends a transaction. */
  isWriting?: true
}

/** Every verb that speaks to a chain. */
export const ROWS: Row[] = [
  {
    verb: 'ask',
    schema: askOutput,
    line: ({ specPath }) => `ask --spec ${specPath} --deadline 4000000000 --as deployer`,
    isWriting: true,
  },
  {
    verb: 'push-down',
    schema: moveOutput,
    line: ({ split }) => `push-down --question ${split} --amount 1 --as bob`,
    names: ({ split }) => split,
    isWriting: true,
  },
  {
    verb: 'pull-up',
    schema: moveOutput,
    line: ({ split }) => `pull-up --question ${split} --amount 1 --as carol`,
    names: ({ split }) => split,
    isWriting: true,
  },
  {
    verb: 'transfer',
    schema: transferOutput,
    line: ({ split }) => `transfer --verse ${split}=nash --to bob --amount 1 --as alice`,
    names: ({ split }) => split,
    isWriting: true,
  },
  {
    verb: 'redeemer set',
    schema: redeemerOutput,
    line: () => 'redeemer set keeper --as alice',
    isWriting: true,
  },
  {
    verb: 'redeemer unset',
    schema: redeemerOutput,
    line: () => 'redeemer unset carol --as alice',
    isWriting: true,
  },
  { verb: 'redeemer list', schema: redeemersOutput, line: () => 'redeemer list --owner alice' },
  {
    verb: 'resolve',
    schema: narrowOutput,
    line: ({ answerable }) => `resolve --question ${answerable} --outcome nash --as bob`,
    names: ({ answerable }) => answerable,
    isWriting: true,
  },
  {
    verb: 'sign',
    schema: signOutput,
    line: ({ votable }) => `sign --question ${votable} --outcome nash --as carol`,
    names: ({ votable }) => votable,
  },
  {
    verb: 'narrow',
    schema: narrowOutput,
    line: ({ narrowable }) => `narrow --question ${narrowable} --survivors nash,void --as carol`,
    names: ({ narrowable }) => narrowable,
    isWriting: true,
  },
  {
    verb: 'expire',
    schema: narrowOutput,
    line: ({ late }) => `expire --question ${late} --as keeper`,
    names: ({ late }) => late,
    isWriting: true,
  },
  { verb: 'questions', schema: questionsOutput, line: () => 'questions' },
  {
    verb: 'question',
    schema: questionOutput,
    line: ({ split }) => `question ${split}`,
    names: ({ split }) => split,
  },
  { verb: 'verses', schema: versesOutput, line: () => 'verses' },
  {
    verb: 'verse',
    schema: verseOutput,
    line: ({ split }) => `verse ${split}=nash`,
    names: ({ split }) => split,
  },
  { verb: 'worlds', schema: worldsOutput, line: () => 'worlds' },
  {
    verb: 'balance',
    schema: balanceOutput,
    line: ({ split }) => `balance --owner carol --verse ${split}=nash`,
    names: ({ split }) => split,
  },
  { verb: 'events', schema: eventOutput, line: () => 'events' },
]
