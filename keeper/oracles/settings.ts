import { type Address, getAddress, parseEther } from 'viem'
import { z } from 'zod'

// What an operator lets the keeper do for questions whose oracle is a contract, and for owners: nothing that puts money at
// stake unless it is asked for.

/**
 * `settle` tells the ledger what an oracle knows, `expire` records what time has decided, `propose` answers optimistic games and
 * defends its answers, `sign` signs verdicts of committees, `redeem` pulls up for owners who named the keeper.
 */
const DUTIES = ['settle', 'expire', 'propose', 'sign', 'redeem'] as const
export type Duty = (typeof DUTIES)[number]

export type DutyConfig = {
  duties: ReadonlySet<Duty>
  /** The most that may stand as bonds at once, by bond token in its smallest unit. Other tokens are never put up. */
  stakes: ReadonlyMap<Address, bigint>
  /** Keepers of other committee members, whose signatures are collected. */
  peers: readonly string[]
  /** Wei that one whole token is worth. Other tokens are never redeemed. */
  prices: ReadonlyMap<Address, bigint>
  /** The most that redeeming may cost, in hundredths of what it brings the owner. */
  redeemGasPercent: number
}

const list = (text: string) => text.split(',').map((each) => each.trim())

/** `0xTOKEN:NUMBER` with commas between them. */
function byToken(
  what: string,
  pattern: RegExp,
  read: (text: string) => bigint,
): z.ZodType<ReadonlyMap<Address, bigint>> {
  return z.string().transform((text, context) => {
    const entries = new Map<Address, bigint>()
    for (const entry of list(text)) {
      const [, token, number] = /^(0x[0-9a-fA-F]{40}):(.+)$/.exec(entry) ?? []
      if (token === undefined || number === undefined || !pattern.test(number)) {
        context.addIssue({ code: 'custom', message: `0xTOKEN:${what}, with commas between them` })
        return z.NEVER
      }
      entries.set(getAddress(token.toLowerCase()), read(number))
    }
    return entries
  })
}

const peer = (text: string) => {
  const url = URL.parse(text)
  return url !== null && ['http:', 'https:'].includes(url.protocol)
}

/** The settings by their variables. */
export const dutySettings = {
  KEEPER_DUTIES: z
    .string()
    .transform((text) => (text === 'none' ? [] : list(text)))
    .refine(
      (names) => names.every((name) => DUTIES.some((duty) => duty === name)),
      `none, or some of ${DUTIES.join(', ')} with commas between them`,
    )
    .transform((names) => new Set(DUTIES.filter((duty) => names.includes(duty))))
    .default(new Set<Duty>(['settle', 'expire'])),
  KEEPER_STAKES: byToken('AMOUNT in its smallest unit', /^\d{1,77}$/, BigInt).optional(),
  KEEPER_PEERS: z
    .string()
    .transform(list)
    .refine((urls) => urls.every(peer), 'URLs of keepers, with commas between them')
    .default([]),
  KEEPER_REDEEM_PRICES: byToken(
    'ETHER that one whole token is worth',
    /^\d{1,12}(\.\d{1,18})?$/,
    parseEther,
  ).optional(),
  KEEPER_REDEEM_GAS_PERCENT: z
    .string()
    .regex(/^\d{1,3}$/, 'a number of percent from 1 to 100')
    .transform(Number)
    .refine((percent) => percent >= 1 && percent <= 100, 'a number of percent from 1 to 100')
    .default(5),
}

type Parsed = z.output<z.ZodObject<typeof dutySettings>>

export function dutyConfig(data: Parsed): DutyConfig {
  return {
    duties: data.KEEPER_DUTIES,
    stakes: data.KEEPER_STAKES ?? new Map<Address, bigint>(),
    peers: data.KEEPER_PEERS,
    prices: data.KEEPER_REDEEM_PRICES ?? new Map<Address, bigint>(),
    redeemGasPercent: data.KEEPER_REDEEM_GAS_PERCENT,
  }
}

/** What one setting demands of another, as a problem of the configuration; empty when all is well, or one itself is wrong. */
export function dutyProblems(given: Readonly<Record<string, string | undefined>>): string[] {
  const { data } = z.object(dutySettings).safeParse(given)
  if (data === undefined) return []
  const { KEEPER_DUTIES: duties, KEEPER_STAKES: stakes, KEEPER_REDEEM_PRICES: prices } = data
  return [
    ...(duties.has('propose') && stakes === undefined
      ? ['KEEPER_STAKES: propose needs the most that may be put up, as 0xTOKEN:AMOUNT']
      : []),
    ...(duties.has('redeem') && prices === undefined
      ? ['KEEPER_REDEEM_PRICES: redeem needs what tokens are worth, as 0xTOKEN:ETHER']
      : []),
  ]
}
