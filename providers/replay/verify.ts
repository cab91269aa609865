import { hash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { splitmix64Stream } from '../../sdk/gf3.ts'
import { bisect } from './bisect.ts'
import { type Claim, hashValue, type Lane, type Redone, type Verdict, type Work } from './lane.ts'

/** Does a lane's steps in a fresh world; gives each step as it ends, and stops when `next` says so. */
export type Redo = (
  lane: Pick<Lane, 'worlds' | 'from' | 'limits'>,
  steps: readonly Work[],
  next: (step: number, redone: Redone) => boolean,
) => Promise<void>

const ROOT = /^0x[0-9a-f]{64}$/

/**
 * Does a lane again and compares step by step, up to the first that differs; that one is then done once more in another world,
 * so that a world that differs from itself accuses nobody.
 * @throws what `redo` rejects with: nothing is known of the lane then
 */
export async function verify(lane: Lane, redo: Redo): Promise<Verdict> {
  const begun = performance.now()
  const { steps } = lane
  const nonsense = steps.findIndex(({ stateRoot }) => !ROOT.test(stateRoot))
  if (nonsense >= 0) return diverged(steps, nonsense, null, begun)
  const computed: Redone[] = []
  await redo(lane, worksOf(steps), (step, redone) => {
    computed.push(redone)
    return isEqual(steps[step]!, redone)
  })
  const step = computed.length - 1
  const last = computed[step]!
  if (isEqual(steps[step]!, last))
    return { kind: 'verified', steps: steps.length, tookMs: performance.now() - begun }
  return confirm(lane, step, last, redo, begun)
}

/** Someone who says what a lane came to, when asked of a step. */
export type Claimant = (step: number) => Promise<Claim>

/**
 * As {@link verify}, when claims are dear to come by: the lane is done again as a whole, its end is compared, and if that differs
 * the claimant is asked of about log2 of the steps, to find one that is false while the one before it is not (as in refereed
 * delegation). A claim in the middle that the end does not bear out is never asked for.
 */
export async function dispute(
  lane: Omit<Lane, 'steps'> & { steps: readonly Work[] },
  claimant: Claimant,
  redo: Redo,
): Promise<Verdict> {
  const begun = performance.now()
  const { steps: works } = lane
  const computed: Redone[] = []
  await redo(lane, works, (_, redone) => {
    computed.push(redone)
    return redone.kind === 'done'
  })
  const claims = new Map<number, Claim>()
  const isAgreed = async (step: number) => {
    const claim = claims.get(step) ?? (await claimant(step))
    claims.set(step, claim)
    return isEqual(claim, computed[step])
  }
  if (await isAgreed(works.length - 1))
    return { kind: 'verified', steps: works.length, tookMs: performance.now() - begun }
  const step = await bisect(0, computed.length - 1, isAgreed)
  const claim = claims.get(step) ?? (await claimant(step))
  // Of the others no more is said than that they were not asked for.
  const steps = works.map((work, at) => ({ ...pick(claims.get(at) ?? claim), ...work }))
  if (!ROOT.test(claim.stateRoot)) return diverged(steps, step, null, begun)
  return confirm({ ...lane, steps }, step, computed[step]!, redo, begun)
}

/** Which of many lanes were done again, and what that is worth. */
export type Sampled = {
  verdicts: { lane: number; verdict: Verdict }[]
  of: number
  /** Chance of each lane to be looked at. */
  rate: number
  /** With so many false lanes among them, the chance that none is looked at: (1 - rate)^false. */
  against: number
  missProbability: number
}

/**
 * Does some of many lanes again: each is drawn with chance `rate`.
 * @param seed unsigned 64-bit; whoever makes lanes must not know it beforehand
 * @param against how many false lanes to state the chance of missing them all for
 */
export async function sample(
  lanes: readonly Lane[],
  { rate, seed, against = 1 }: { rate: number; seed: bigint; against?: number },
  check: (lane: Lane) => Promise<Verdict>,
): Promise<Sampled> {
  const draw = splitmix64Stream(seed)
  const drawn = lanes.flatMap((lane, index) =>
    Number(draw() >> 11n) / 2 ** 53 < rate ? [{ lane, index }] : [],
  )
  const verdicts = await Promise.all(
    drawn.map(async ({ lane, index }) => ({ lane: index, verdict: await check(lane) })),
  )
  return { verdicts, of: lanes.length, rate, against, missProbability: (1 - rate) ** against }
}

/** A step that differs, done once more. */
async function confirm(
  lane: Lane,
  step: number,
  first: Redone,
  redo: Redo,
  begun: number,
): Promise<Verdict> {
  const { steps } = lane
  const again: Redone[] = []
  await redo(lane, worksOf(steps.slice(0, step + 1)), (_, redone) => {
    again.push(redone)
    return redone.kind === 'done'
  })
  const second = again[step]
  if (second === undefined || !isSame(first, second)) {
    const computed = [first, second ?? again.at(-1)!]
    return { kind: 'undecided', step, computed, tookMs: performance.now() - begun }
  }
  return diverged(steps, step, first, begun)
}

function diverged(
  steps: Lane['steps'],
  step: number,
  computed: Redone | null,
  begun: number,
): Verdict {
  const { code } = steps[step]!
  const claimed = pick(steps[step]!)
  return {
    kind: 'diverged',
    step,
    codeHash: `0x${hash('sha256', code, 'hex')}`,
    what: whatOf(claimed, computed),
    claimed,
    computed,
    tookMs: performance.now() - begun,
  }
}

function whatOf(claimed: Claim, computed: Redone | null) {
  if (computed === null) return 'claim'
  if (computed.kind === 'failed') return 'failure'
  return computed.stateRoot === claimed.stateRoot ? 'value' : 'stateRoot'
}

function isEqual(claim: Claim, redone: Redone | undefined): boolean {
  return (
    redone?.kind === 'done' &&
    redone.stateRoot === claim.stateRoot &&
    (claim.value === undefined || isDeepStrictEqual(claim.value, redone.value)) &&
    (claim.valueHash === undefined || claim.valueHash === hashValue(redone.value))
  )
}

/** Two failures are alike when they are of one kind: their messages may tell of times. */
function isSame(one: Redone, other: Redone): boolean {
  if (one.kind === 'failed' || other.kind === 'failed')
    return one.kind === 'failed' && other.kind === 'failed' && one.code === other.code
  return one.stateRoot === other.stateRoot && isDeepStrictEqual(one.value, other.value)
}

function pick({ stateRoot, value, valueHash }: Claim): Claim {
  return {
    stateRoot,
    ...(value === undefined ? {} : { value }),
    ...(valueHash === undefined ? {} : { valueHash }),
  }
}

function worksOf(steps: Lane['steps']): Work[] {
  return steps.map(({ code, calls }) => ({ code, ...(calls === undefined ? {} : { calls }) }))
}
