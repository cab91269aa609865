import type { Dialect } from './conformance.ts'

/** A contract that adds the word it is called with to its first word of storage, and gives the sum. */
export const COUNTER = '0x00000000000000000000000000000000000000c0'
const COUNTER_CODE = '0x5f545f3501805f555f5260205ff3'
/** A contract that calls itself, and reverts when that fails. */
const MIRROR = '0x00000000000000000000000000000000000000c1'
const MIRROR_CODE = '0x5f5f5f5f5f305af115600d57005b5f5ffd'

type Step = Record<string, unknown>

function word(value: number): string {
  return value.toString(16).padStart(64, '0')
}

export function program(steps: Step[], result?: unknown): string {
  return JSON.stringify({ steps, ...(result === undefined ? {} : { result }) })
}

/** Steps that add to the counter, which is put there when it is not. */
export function addition(by: number): Step[] {
  const data = `0x${word(by)}`
  return [
    { kind: 'code', account: COUNTER, bytecode: COUNTER_CODE },
    { kind: 'send', as: 'sum', to: COUNTER, data, returns: ['uint32'] },
  ]
}

/** Runs bare code once and gives what it returns. */
export function bare(code: string, type: string): string {
  const step = { kind: 'call', as: 'it', data: `0x${code}`, returns: [type] }
  return program([step], { $: 'it.output' })
}

/** Bare code that reverts with a text. */
export function reverting(text: string): string {
  const bytes = Buffer.from(text)
  const tail = bytes.toString('hex').padEnd(Math.ceil(bytes.length / 32) * 64, '0')
  const data = `08c379a0${word(32)}${word(bytes.length)}${tail}`
  const length = (data.length / 2).toString(16).padStart(4, '0')
  return `61${length}61000d5f3961${length}5ffd${data}`
}

export const evm: Dialect = {
  add: (by) => program(addition(by), { $: 'sum.output' }),
  random: bare('63ffffffff44165f5260205ff3', 'uint32'),
  time: bare('426103e8025f5260205ff3', 'uint48'),
  print: program([
    { kind: 'print', text: 'out' },
    { kind: 'print', to: 'stderr', text: 'err' },
  ]),
  fail: program([
    ...addition(1_000),
    { kind: 'call', data: `0x${reverting('broken\nin two lines')}` },
  ]),
  printsAndStays: program([
    { kind: 'print', text: 'out' },
    { kind: 'call', data: '0x5b5f56' },
  ]),
  neverEnds: bare('5b5f56', 'uint256'),
  eatsMemory: bare('6001631000000052', 'uint256'),
  recurses: program([
    { kind: 'code', account: MIRROR, bytecode: MIRROR_CODE },
    { kind: 'call', to: MIRROR },
  ]),
  neverAnswers: program([], { $: 'nothing.output' }),
  notJson: [bare('60035ff3', 'uint256')],
  answersTooMuch: program([{ kind: 'call', as: 'it', data: '0x63003d09005ff3' }], {
    $: 'it.output',
  }),
  printsTooMuch: program(
    Array.from({ length: 3 }, () => ({ kind: 'print', text: 'x'.repeat(1_000_000) })),
  ),
}
