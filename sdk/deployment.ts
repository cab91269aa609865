import type { Address, Hex } from 'viem'
import { z } from 'zod'

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/) as unknown as z.ZodType<Address, Address>
const hash = z.string().regex(/^0x[0-9a-f]{64}$/) as unknown as z.ZodType<Hex, Hex>

/** A deployment's identity. `token` is the demo ERC-20 and is there on local chains only. */
export const deploymentSchema = z.strictObject({
  version: z.literal(1),
  chainId: z.int().positive(),
  addresses: z.strictObject({
    multiverse: address,
    worlds: address,
    token: address.optional(),
  }),
  startBlock: z.int().nonnegative(),
  startBlockHash: hash,
})
export type Deployment = z.infer<typeof deploymentSchema>
