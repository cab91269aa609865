import { InvalidArgumentError } from 'commander'

/** How a path is written. */
export const PATH_HELP = 'QUESTION=OUTCOME,... or root'

/** Reads an option's value as a whole number in a range. */
export function integerFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
    return value
  }
}
