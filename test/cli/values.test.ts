import { assert, bigInt, integer, property } from 'fast-check'
import { formatUnits } from 'viem'
import { expect, test } from 'vitest'
import { table } from '../../cli/output.ts'
import { parseAmount, parseDeadline } from '../../cli/values.ts'
import { MAX_AMOUNT } from '../../sdk/ids.ts'

const thrown = (code: string) => expect.objectContaining({ code }) as Error

test('every amount survives being written and read', () => {
  assert(
    property(bigInt(1n, MAX_AMOUNT), integer({ min: 0, max: 36 }), (amount, decimals) => {
      expect(parseAmount(formatUnits(amount, decimals), decimals)).toBe(amount)
    }),
  )
})

test.each(['', '-1', '+1', '1e3', '1,5', '.5', '5.', '0x10', 'ten', ' 1', '1 '])(
  'refuses %j as an amount',
  (text) => {
    expect(() => parseAmount(text, 18)).toThrow(thrown('INVALID_AMOUNT'))
  },
)

test('refuses zero, too many decimals and too much', () => {
  expect(() => parseAmount('0', 18)).toThrow(thrown('ZERO_AMOUNT'))
  expect(() => parseAmount('0.000', 18)).toThrow(thrown('ZERO_AMOUNT'))
  expect(() => parseAmount('1.1234567', 6)).toThrow(thrown('INVALID_AMOUNT'))
  const most = formatUnits(MAX_AMOUNT, 18)
  expect(parseAmount(most, 18)).toBe(MAX_AMOUNT)
  expect(() => parseAmount(formatUnits(MAX_AMOUNT + 1n, 18), 18)).toThrow(
    thrown('AMOUNT_TOO_LARGE'),
  )
})

test('reads deadlines', () => {
  expect(parseDeadline('+90s', 1000n)).toBe(1090n)
  expect(parseDeadline('+30m', 1000n)).toBe(2800n)
  expect(parseDeadline('+1h', 1000n)).toBe(4600n)
  expect(parseDeadline('+7d', 1000n)).toBe(605_800n)
  expect(parseDeadline('1900000000', 1000n)).toBe(1_900_000_000n)
  expect(parseDeadline('2030-01-31T12:00Z', 1000n)).toBe(1_896_091_200n)
  for (const text of ['', 'tomorrow', '+1w', '1h', '-5', '2030-13-01', '+h'])
    expect(() => parseDeadline(text, 1000n)).toThrow(thrown('INVALID_DEADLINE'))
})

test('aligns words to the left and numbers to the right', () => {
  const rows = [
    ['alice', '1.5', 'x'],
    ['bob', '-20', ''],
  ]
  expect(table(rows, ['name', 'amount', ''])).toBe('name   amount\nalice     1.5  x\nbob       -20')
  expect(table([])).toBe('')
})
