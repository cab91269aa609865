import { type Address, type Hex, keccak256 } from 'viem'
import { z } from 'zod'
import { MultiverseError } from './errors.ts'

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/) as unknown as z.ZodType<Address, Address>
const hash = z.string().regex(/^0x[0-9a-f]{64}$/) as unknown as z.ZodType<Hex, Hex>

/** The contracts of a deployment. */
export const CONTRACTS = [
  'multiverse',
  'worlds',
  'lens',
  'optimisticOracle',
  'committeeOracle',
  'realityOracle',
  'priceOracle',
  'token',
] as const
export type ContractName = (typeof CONTRACTS)[number]

/**
 * A deployment's identity. `token` is the demo ERC-20 and is there on local chains and where it was asked for; `lens` and the
 * oracles are missing in records from before there were any, and the oracles where they were not wanted.
 */
export const deploymentSchema = z.strictObject({
  version: z.literal(1),
  chainId: z.int().positive(),
  addresses: z.strictObject({
    multiverse: address,
    worlds: address,
    lens: address.optional(),
    optimisticOracle: address.optional(),
    committeeOracle: address.optional(),
    realityOracle: address.optional(),
    priceOracle: address.optional(),
    token: address.optional(),
  }),
  /**
   * keccak256 of each contract's code on the chain, immutables included. Missing in records from before it was kept:
   * `deploy` adds it.
   */
  codeHashes: z
    .strictObject({
      multiverse: hash,
      worlds: hash,
      lens: hash.optional(),
      optimisticOracle: hash.optional(),
      committeeOracle: hash.optional(),
      realityOracle: hash.optional(),
      priceOracle: hash.optional(),
      token: hash.optional(),
    })
    .optional(),
  startBlock: z.int().nonnegative(),
  startBlockHash: hash,
})
export type Deployment = z.infer<typeof deploymentSchema>

/**
 * Checks that every contract of the deployment stands on the chain with the code that was deployed.
 * @param codeAt the code at an address, `0x` or undefined when there is none
 * @throws NO_CONTRACT, OTHER_CODE naming address and both hashes; whatever `codeAt` throws
 */
export async function requireCode(
  { addresses, codeHashes, chainId }: Deployment,
  codeAt: (address: Address) => Promise<Hex | undefined>,
): Promise<void> {
  await Promise.all(
    CONTRACTS.map(async (name) => {
      const at = addresses[name]
      if (at === undefined) return
      const code = (await codeAt(at)) ?? '0x'
      if (code === '0x')
        throw new MultiverseError(
          'NO_CONTRACT',
          `no contract at ${at}, the ${name} address: chain ${chainId} was rolled back to before the deployment`,
        )
      const expected = codeHashes?.[name]
      // Hashing all contracts takes a program that begins a tenth of a second.
      if (expected === undefined) return
      const found = keccak256(code)
      if (found !== expected)
        throw new MultiverseError(
          'OTHER_CODE',
          `the code at ${at} (${name}) hashes to ${found}, the deployment's to ${expected}`,
        )
    }),
  )
}
