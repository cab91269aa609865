import { formatUnits } from 'viem'
import { z } from 'zod'
import {
  branchOutput,
  type BranchOutput,
  type LaneOutput,
  type PipelineOutput,
  snapshotOutput,
  type SnapshotOutput,
  type VerseOnOutput,
  worldOutput,
  type WorldMadeOutput,
} from '../../sdk/runtimeOutput.ts'
import { overSocket } from '../services.ts'

const hex = z.templateLiteral(['0x', z.string()])
const trit = z.union([z.literal(-1), z.literal(0), z.literal(1)])
const wad = z
  .string()
  .regex(/^-?\d+$/)
  .transform((text) => formatUnits(BigInt(text), 18))

/** As keeper/runtime/runtime.ts shows a lane; costs come in whole units from here on. */
const laneSchema = z
  .object({
    outcome: z.int(),
    name: z.string(),
    trit,
    verseId: hex,
    world: z.string(),
    instance: z.string(),
    stateRoot: hex.nullable(),
    cost: wad.nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    ms: z.number(),
    isVerified: z.boolean(),
    optimized: z.object({ parameters: z.array(z.number()), ownCost: wad }).nullable(),
    providers: z.array(z.string()),
    sum: z.int(),
    conserved: z.boolean(),
    debt: trit,
  })
  .transform(({ verseId, ms, isVerified, ...lane }): LaneOutput => ({
    ...lane,
    verse: verseId,
    executeMs: ms,
    verified: isVerified,
  }))

const playedSchema = z.object({
  provider: z.string(),
  seed: z.int(),
  question: hex,
  snapshot: z.string(),
  snapshotMs: z.number(),
  branchMs: z.number(),
  lanes: z.array(laneSchema),
})

const pipelineSchema = playedSchema.extend({
  winner: z.int().nullable(),
  wev: z.object({ ratio: wad.nullable(), abs: wad }).nullable(),
  gf3: z.object({ sum: z.int(), conserved: z.boolean() }),
})

const statusSchema = z.object({ status: z.string(), reason: z.string() })

/** What a keeper does with its providers on demand, over its socket. Calls reject with the keeper's own codes. */
export type RuntimeApi = {
  verse: (provider: string, seed: number) => Promise<VerseOnOutput>
  pipeline: (seed: number, provider?: string) => Promise<PipelineOutput>
  create: (seed: number, provider?: string) => Promise<WorldMadeOutput>
  snapshot: (world: string) => Promise<SnapshotOutput>
  branch: (world: string) => Promise<BranchOutput>
  status: (provider: string) => Promise<z.infer<typeof statusSchema>>
}

export function createRuntimeApi(socketPath: () => Promise<string>): RuntimeApi {
  const post = async (path: string, body?: unknown) =>
    overSocket(await socketPath(), 'POST', `/runtime${path}`, body)
  return {
    verse: async (provider, seed) => playedSchema.parse(await post('/verses', { provider, seed })),
    async pipeline(seed, provider) {
      const { winner, ...run } = pipelineSchema.parse(await post('/pipelines', { seed, provider }))
      return { ...run, winner: run.lanes.find(({ outcome }) => outcome === winner)?.name ?? null }
    },
    create: async (seed, provider) => worldOutput.parse(await post('/worlds', { seed, provider })),
    snapshot: async (world) => snapshotOutput.parse(await post(`/worlds/${world}/snapshots`)),
    branch: async (world) => branchOutput.parse(await post(`/worlds/${world}/branches`)),
    status: async (provider) => statusSchema.parse(await post(`/providers/${provider}`)),
  }
}
