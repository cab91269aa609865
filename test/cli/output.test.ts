import * as fc from 'fast-check'
import stringWidth from 'string-width'
import { describe, expect, test } from 'vitest'
import { outputWidth, plain, table, wrap } from '../../cli/output.ts'
import { type Branch, drawBranches } from '../../cli/tree.ts'

const cell = fc.oneof(
  fc
    .string({
      unit: fc.constantFrom('a', 'b', 'c', ' ', '0', 'x', '1', '9', '-', 'é', '世', '🎲'),
      maxLength: 70,
    })
    .filter((text) => text.trim() !== ''),
  fc.stringMatching(/^0x[0-9a-f]{64}$/),
)
const rows = fc.integer({ min: 1, max: 5 }).chain((count) =>
  fc.record({
    headers: fc.option(
      fc.array(fc.stringMatching(/^[a-z]{1,9}$/), { minLength: count, maxLength: count }),
      { nil: undefined },
    ),
    rows: fc.array(fc.array(cell, { minLength: count, maxLength: count }), {
      minLength: 1,
      maxLength: 4,
    }),
  }),
)
const width = fc.integer({ min: 24, max: 120 })
/** Without the spaces, which is where a text may be broken. */
const letters = (text: string) => text.replaceAll(/\s/g, '')

describe('a table', () => {
  test('as wide as its cells when there is room', () => {
    const text = table(
      [
        ['nash', '1', 'yes'],
        ['optimal', '0.75', ''],
      ],
      ['world', 'cost', 'seen'],
      Infinity,
    )
    expect(text).toBe('world    cost  seen\nnash        1  yes\noptimal  0.75')
  })

  test('is one block a row where it does not fit', () => {
    const rows = [
      ['nash', 'one two three four five'],
      ['void', ''],
    ]
    expect(table(rows, ['world', 'said'], 20)).toBe(
      'world  nash\nsaid   one two three\n       four five\n\nworld  void\nsaid',
    )
  })

  test('wraps its last column, and puts it below where too little is left', () => {
    expect(table([['tx', 'one two three']], undefined, 20)).toBe('tx  one two three')
    expect(table([['a title', 'one two three four']], undefined, 24)).toBe(
      'a title  one two three\n         four',
    )
    expect(table([['quite a long title', 'one two three']], undefined, 24)).toBe(
      'quite a long title\n  one two three',
    )
  })

  test('never has a line that is too long, and loses nothing', () => {
    fc.assert(
      fc.property(rows, width, ({ headers, rows }, width) => {
        const text = table(rows, headers, width)
        for (const line of text.split('\n')) expect(stringWidth(line)).toBeLessThanOrEqual(width)
        const sorted = (text: string) => Array.from(letters(text)).toSorted().join('')
        const isStacked = text.includes('\n\n')
        const named = headers ?? []
        const all = [...(isStacked ? rows.flatMap(() => named) : named), ...rows.flat()].join('')
        expect(sorted(text)).toBe(sorted(all))
      }),
    )
  })
})

test('a tree never has a line that is too long where there is room for its depth', () => {
  const { tree } = fc.letrec<{ tree: Branch }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      fc.record({ text: cell, children: fc.constant<Branch[]>([]) }),
      fc.record({ text: cell, children: fc.array(tie('tree'), { maxLength: 3 }) }),
    ),
  }))
  const depth = ({ children }: Branch): number => 1 + Math.max(0, ...children.map(depth))
  fc.assert(
    fc.property(fc.array(tree, { minLength: 1, maxLength: 3 }), (branches) => {
      const width = 3 * (1 + Math.max(...branches.map(depth))) + 20
      for (const line of drawBranches(branches, width))
        expect(stringWidth(line)).toBeLessThanOrEqual(width)
    }),
  )
})

test('a tree, drawn', () => {
  const branch = (text: string, ...children: Branch[]): Branch => ({ text, children })
  const lines = drawBranches(
    [branch('a question that is long', branch('yes', branch('deep')), branch('no')), branch('b')],
    23,
  )
  expect(lines.join('\n')).toBe(
    ['├─ a question that is', '│  │  long', '│  ├─ yes', '│  │  └─ deep', '│  └─ no', '└─ b'].join(
      '\n',
    ),
  )
})

test('wrapping breaks between words, and what is too long for a line anywhere', () => {
  expect(wrap('one two three', 8)).toBe('one two\nthree')
  expect(wrap('one two three', 8, 2)).toBe('one\n  two\n  three')
  expect(wrap('abcdefghij', 4)).toBe('abcd\nefgh\nij')
  expect(wrap('any length', Infinity)).toBe('any length')
})

test('the width is the terminal’s, else that of COLUMNS, else none', () => {
  const terminal = { isTTY: true, columns: 90 }
  const pipe = { isTTY: false, columns: 80 }
  expect(outputWidth(terminal, '40')).toBe(90)
  expect(outputWidth({ isTTY: true, columns: 0 }, undefined)).toBe(Infinity)
  expect(outputWidth(pipe, '40')).toBe(40)
  expect(outputWidth(pipe, '3')).toBe(20)
  for (const columns of ['', 'wide', '-1', '4.5', undefined])
    expect(outputWidth(pipe, columns)).toBe(Infinity)
})

test('a text from a stranger is one line without control characters', () => {
  expect(plain('\u001b[31mred\u001b[0m\r\nnext\u0007 \u009b2Jend')).toBe('red next  end')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(plain(text)).not.toMatch(/[\p{Cc}\u2028\u2029]/u)
    }),
  )
})
