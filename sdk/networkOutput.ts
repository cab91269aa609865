import { z } from 'zod'
import { deploymentSchema } from './deployment.ts'

// What `multiverse deploy --json` and `multiverse run --json` print: see output.ts. Gas and wei are integers, as strings.

const address = z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]{40}$/)])
const integer = z.string().regex(/^\d+$/)

const plan = {
  dataDir: z.string(),
  /** As `--network` calls it; null for another chain. */
  network: z.string().nullable(),
  chainId: z.int().positive(),
  /** Who pays; null when no wallet was chosen. */
  deployer: address.nullable(),
  balance: integer.nullable(),
  /** What stood, and what was to be created, before anything was sent. */
  contracts: z.array(
    z.strictObject({
      name: z.string(),
      address,
      stands: z.boolean(),
      gas: integer,
      value: integer,
    }),
  ),
  gas: integer,
  gasPrice: integer,
  maxGasPrice: integer,
  /** At the present price, and at the highest that is paid. */
  cost: integer,
  maxCost: integer,
}

/** `deploy --dry-run`. */
export const deployPlanOutput = z.strictObject({ dryRun: z.literal(true), ...plan })

/** `deploy`. */
export const deployOutput = z.strictObject({
  ...plan,
  deployment: deploymentSchema,
  /** With `--verify`. */
  verifications: z
    .array(
      z.strictObject({
        service: z.enum(['sourcify', 'etherscan']),
        contract: z.string(),
        ok: z.literal(true),
        message: z.string(),
      }),
    )
    .optional(),
})

/** `run`, once everything is up. */
export const runOutput = z.strictObject({
  dataDir: z.string(),
  deployment: deploymentSchema,
  /** What runs. */
  services: z.array(z.enum(['keeper', 'indexer'])),
  /** Null without a keeper. */
  keeper: address.nullable(),
  urls: z.strictObject({
    graphql: z.string(),
    analytics: z.string(),
    keeper: z.string(),
  }),
})

export type DeployPlanOutput = z.infer<typeof deployPlanOutput>
export type DeployOutput = z.infer<typeof deployOutput>
export type RunOutput = z.infer<typeof runOutput>
