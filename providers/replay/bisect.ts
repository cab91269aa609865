/**
 * The first of the steps `low` to `high` that is not agreed on, when the one before `low` is and `high` is not. Asks about
 * log2 of their number. Agreement must not come back once it is lost; when it does, it finds one step of which it was lost,
 * which is as false.
 */
export async function bisect(
  low: number,
  high: number,
  isAgreed: (step: number) => Promise<boolean>,
): Promise<number> {
  let [first, last] = [low, high]
  while (first < last) {
    const middle = Math.floor((first + last) / 2)
    if (await isAgreed(middle)) first = middle + 1
    else last = middle
  }
  return last
}
