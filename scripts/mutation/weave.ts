import { type Range, splice } from './ast.ts'
import type { Mutant, Place } from './mutants.ts'

/**
 * The word in compiled code that says which mutant is awake. The `or` with a shifted code size, which is 0 for any code there
 * can be, keeps the optimizer from deciding it: `awaken` writes a number over the word afterwards.
 */
const WORD = '9d7ec6b0a4f0e1c35b28d1a96f3c57e8042bd9716ae385cf60197be42d8a3f51'
const SWITCH = `
function _isMutant(uint256 mutant) pure returns (bool active) {
    assembly ("memory-safe") { active := eq(or(0x${WORD}, shr(255, codesize())), mutant) }
}
`

/** Code as `build` gives it, with one mutant awake; 0 wakes none. */
export function awaken(code: string, number: number): string {
  return code.replaceAll(WORD, number.toString(16).padStart(64, '0'))
}

/** A source that holds many mutants, all asleep. `ranges` says where in it each one stands, by its number. */
export type Woven = { text: string; ranges: Map<number, Range> }

type Numbered = { number: number; mutant: Mutant }

/**
 * Weaves mutants of one file into its source, each beside its original. Mutants of kind `file` cannot be woven.
 * @param numbered The mutants by their numbers, from 1.
 */
export function weave(text: string, numbered: readonly Numbered[]): Woven {
  const places = new Map<number, { place: Woveable; mutants: Numbered[] }>()
  for (const each of numbered) {
    const { place } = each.mutant
    if (place.kind === 'file') throw new TypeError(`cannot weave ${each.mutant.operator}`)
    const entry = places.get(place.range.start) ?? { place, mutants: [] }
    entry.mutants.push(each)
    places.set(place.range.start, entry)
  }
  const ranges = new Map<number, Range>()
  let output = ''
  let position = 0
  const put = (part: string) => void (output += part)
  /** Writes a variant and remembers where. */
  const variant = (number: number, part: string) => {
    ranges.set(number, { start: output.length, end: output.length + part.length })
    put(part)
  }

  for (const [start, { place, mutants }] of [...places].toSorted(([a], [b]) => a - b)) {
    put(text.slice(position, start))
    writePlace(text, place, mutants, put, variant)
    position = place.range.end
  }
  put(text.slice(position))
  put(SWITCH)
  return { text: output, ranges }
}

type Woveable = Exclude<Place, { kind: 'file' }>

function writePlace(
  text: string,
  place: Woveable,
  mutants: readonly Numbered[],
  put: (part: string) => void,
  variant: (number: number, part: string) => void,
): void {
  /** A range of the source as the mutant makes it. */
  const within = ({ start, end }: Range, { range, text: becomes }: Mutant) =>
    splice(text.slice(start, end), { start: range.start - start, end: range.end - start }, becomes)
  /** One branch for each mutant, and one for what was there. */
  const branches = (write: (each?: Numbered) => void) => {
    put('{ ')
    for (const each of mutants) {
      put(`if (_isMutant(${each.number})) { `)
      write(each)
      put(' } else ')
    }
    put('{ ')
    write()
    put(' } }')
  }
  const original = ({ start, end }: Range) => text.slice(start, end)

  switch (place.kind) {
    case 'condition':
    case 'value':
      put('(')
      for (const { number, mutant } of mutants) {
        put(`_isMutant(${number}) ? (`)
        variant(number, within(place.range, mutant))
        put(') : ')
      }
      put(`(${original(place.range)}))`)
      return
    case 'statement':
      branches((each) => {
        if (each === undefined) put(original(place.range))
        else variant(each.number, within(place.range, each.mutant))
      })
      return
    case 'declaration':
      put(place.declared)
      branches((each) => {
        put(`${place.target} = `)
        if (each === undefined) put(original(place.value))
        else variant(each.number, within(place.value, each.mutant))
        put(';')
      })
      return
    default:
      place satisfies never
  }
}
