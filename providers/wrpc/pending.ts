import { type Codec, malformed } from './codec.ts'

// Values that come later, each in frames of its own at its path among the parameters or the results. What stands in their place
// until then is a zero. A stream comes in lists, of which the last is empty.

type Type = Pick<Codec<null>, 'wit' | 'declares'>

/** A future without a value. */
export const future: Codec<null> = pending('future', [])

/** What comes is a value of `of`. */
export function futureOf(of: Type): Codec<null> {
  return pending(`future<${of.wit}>`, of.declares)
}

/** What comes are lists of `of`. */
export function streamOf(of: Type): Codec<null> {
  return pending(`stream<${of.wit}>`, of.declares)
}

function pending(wit: string, declares: Type['declares']): Codec<null> {
  return {
    wit,
    declares,
    write: (out) => out.u8(0),
    read: (from) => {
      const byte = from.u8()
      // Who has a value at once may send it in this place; nobody here does, nor expects it.
      if (byte !== 0) throw malformed(`${byte} is no ${wit} that comes later`)
      return null
    },
  }
}
