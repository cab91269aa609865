import type { Hex } from 'viem'
import { expect, test } from 'vitest'
import {
  formatPath,
  type Names,
  parseSteps,
  resolveOutcome,
  resolvePath,
  resolveQuestion,
  slug,
} from '../../cli/path.ts'

const question = (prefix: string, outcomes: number): Hex =>
  `0x${prefix.padEnd(62, '0')}${outcomes.toString(16).padStart(2, '0')}`
const rate = question('aabbcc11', 3)
const election = question('1122334455', 3)
const twin = question('aabbcc22', 2)

const labels = new Map([
  [rate, ['cut', 'hold', 'void']],
  [election, ['2', '1', 'void']],
])
const titles = new Map([
  [rate, 'Will the rate fall?'],
  [election, 'Who wins?'],
  [twin, 'Who wins'],
])
const names: Names = {
  questions: async () => [rate, election, twin],
  labels: async (id) => labels.get(id),
  title: async (id) => titles.get(id),
}

test('splits steps and knows root', () => {
  expect(parseSteps('root')).toEqual([])
  expect(parseSteps('ROOT')).toEqual([])
  expect(parseSteps('')).toEqual([])
  expect(parseSteps('a1b2c3=yes, 0xd4e5f6=a=b')).toEqual([
    { question: 'a1b2c3', outcome: 'yes' },
    { question: '0xd4e5f6', outcome: 'a=b' },
  ])
})

test.each(['yes', '=yes', 'a1b2c3=', 'a1b2c3=yes,', ',', 'a1b2c3=yes,,d4e5f6=no'])(
  'refuses %j as a path',
  (text) => {
    expect(() => parseSteps(text)).toThrow(expect.objectContaining({ code: 'INVALID_PATH' }))
  },
)

test('reads a path in any order and sorts it by question', async () => {
  expect(await resolvePath('aabbcc11=hold,0x112233=void', names)).toEqual([
    { question: election, outcome: 2 },
    { question: rate, outcome: 1 },
  ])
  expect(await resolvePath('root', names)).toEqual([])
})

test('a path is printed as it can be written', async () => {
  const path = await resolvePath('aabbcc11=hold,112233=1,aabbcc22=1', names)
  const text = await formatPath(path, names)
  expect(text).toBe('0x11223344=1,0xaabbcc11=hold,0xaabbcc22=1')
  expect(await resolvePath(text, names)).toEqual(path)
  expect(await formatPath([], names)).toBe('root')
})

test('a question cannot stand twice', async () => {
  await expect(resolvePath('aabbcc11=hold,aabbcc11=cut', names)).rejects.toMatchObject({
    code: 'QUESTION_IN_PATH',
  })
})

test('finds a question by its id, or by a prefix that is long enough and unique', async () => {
  expect(await resolveQuestion(rate, names)).toBe(rate)
  expect(await resolveQuestion(rate.toUpperCase().replace('0X', '0x'), names)).toBe(rate)
  expect(await resolveQuestion('112233', names)).toBe(election)
  await expect(resolveQuestion('aabbcc', names)).rejects.toMatchObject({
    code: 'AMBIGUOUS_QUESTION',
    message: 'aabbcc may be 2 questions: 0xaabbcc11 (Will the rate fall?), 0xaabbcc22 (Who wins)',
  })
  await expect(resolveQuestion('999999', names)).rejects.toMatchObject({ code: 'UNKNOWN_QUESTION' })
  for (const text of ['11223', 'question', `${rate.slice(2)}00`])
    await expect(resolveQuestion(text, names)).rejects.toMatchObject({ code: 'UNKNOWN_QUESTION' })
  for (const text of ['0x1122', `${rate}00`, '', '?!'])
    await expect(resolveQuestion(text, names)).rejects.toMatchObject({ code: 'INVALID_QUESTION' })
})

test('finds a question by its title, as it is written or as words joined by dashes', async () => {
  for (const text of ['Will the rate fall?', 'will-the-rate-fall', 'WILL THE RATE FALL'])
    expect(await resolveQuestion(text, names)).toBe(rate)
  expect(await resolvePath('will-the-rate-fall=hold', names)).toEqual([
    { question: rate, outcome: 1 },
  ])
  await expect(resolveQuestion('who-wins', names)).rejects.toMatchObject({
    code: 'AMBIGUOUS_QUESTION',
    message: 'who-wins may be 2 questions: 0x11223344 (Who wins?), 0xaabbcc22 (Who wins)',
  })
})

test('a title that looks like the digits of an id hides no other question, nor is it hidden', async () => {
  const decade = question('99', 2)
  const all: Names = {
    ...names,
    questions: async () => [rate, question('decade01', 2), decade],
    title: async (id) => (id === decade ? 'Decade' : undefined),
  }
  await expect(resolveQuestion('decade', all)).rejects.toMatchObject({
    code: 'AMBIGUOUS_QUESTION',
    message: 'decade may be 2 questions: 0xdecade01, 0x99000000 (Decade)',
  })
  expect(await resolveQuestion('0xdecade', all)).toBe(question('decade01', 2))
})

test('a slug is words joined by dashes, of any script', () => {
  expect(slug('  Will it — really — rain?! ')).toBe('will-it-really-rain')
  expect(slug('Привет, 世界')).toBe('привет-世界')
  expect(slug('?!')).toBe('')
})

test('what a stranger calls an answer cannot speak to the terminal', async () => {
  const hostile: Names = { ...names, labels: async () => ['\u001b[2Jyes\nerror: none', 'void'] }
  expect(await formatPath([{ question: twin, outcome: 0 }], hostile)).toBe(
    '0xaabbcc22=yes error: none',
  )
})

test('an outcome is a label before it is a number', async () => {
  expect(await resolveOutcome(rate, 'hold', names)).toBe(1)
  expect(await resolveOutcome(rate, '0', names)).toBe(0)
  expect(await resolveOutcome(election, '1', names)).toBe(1)
  expect(await resolveOutcome(election, '2', names)).toBe(0)
  expect(await resolveOutcome(twin, '1', names)).toBe(1)
  await expect(resolveOutcome(rate, 'raise', names)).rejects.toMatchObject({
    code: 'UNKNOWN_OUTCOME',
    message: `question ${rate} has no outcome raise: one of cut, hold, void`,
  })
  await expect(resolveOutcome(twin, 'yes', names)).rejects.toMatchObject({
    code: 'UNKNOWN_OUTCOME',
  })
  await expect(resolveOutcome(rate, '3', names)).rejects.toMatchObject({
    code: 'OUTCOME_OUT_OF_RANGE',
  })
})
