import { isAddress, isHex } from 'viem'
import { z } from 'zod'
import type { Served } from './jobs/served.ts'

// The settings that say whom a keeper works for.

const parts = (text: string) => text.split(',').map((part) => part.trim().toLowerCase())

const listOf = (what: string, isRight: (part: string) => boolean) =>
  z
    .string()
    .transform(parts)
    .refine((all) => all.every(isRight), `${what}, with commas between them`)

export const servedSettings = {
  KEEPER_ORACLES: listOf('addresses', (part) => isAddress(part)).optional(),
  KEEPER_QUESTIONS: listOf('question ids', (part) => isHex(part) && part.length === 66).optional(),
  KEEPER_TOKENS: listOf('ADDRESS=AMOUNT of tokens, in their smallest unit', (part) => {
    const [, token = '', amount] = /^(0x[0-9a-f]{40})=([1-9]\d{0,38})$/.exec(part) ?? []
    return isAddress(token) && amount !== undefined
  }).optional(),
}

/** Whom it works for, from the settings. */
export function servedOf(settings: {
  KEEPER_ORACLES?: string[] | undefined
  KEEPER_QUESTIONS?: string[] | undefined
  KEEPER_TOKENS?: string[] | undefined
}): Served {
  const { KEEPER_ORACLES: oracles, KEEPER_QUESTIONS: questions, KEEPER_TOKENS: tokens } = settings
  return {
    oracles: oracles === undefined ? null : new Set(oracles),
    questions: questions === undefined ? null : new Set(questions),
    tokens:
      tokens === undefined
        ? null
        : new Map(
            tokens.map((pair) => {
              const [token, amount] = pair.split('=')
              return [token!, BigInt(amount!)]
            }),
          ),
  }
}
