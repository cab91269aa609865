import {
  type Address,
  encodeAbiParameters,
  getAbiItem,
  type Hex,
  keccak256,
  numberToHex,
  parseUnits,
  zeroHash,
} from 'viem'
import { worldsAbi } from '../../sdk/abi.ts'
import type { JournalEvent } from '../../sdk/journal.ts'
import type { Spec } from '../../sdk/spec.ts'
import { costWev } from '../../sdk/wev.ts'
import type { PartitionRecord, StepOutputs, WorldOutcome } from '../store/partitions.ts'
import type { Call } from '../tx/send.ts'
import type { Names } from './key.ts'

const RAN = 1
const VERIFIED = 2
const FAILED = 3

/** One entry of a report, as the notebook's struct has it. */
export type ReportedWorld = {
  stateRoot: Hex
  cost: bigint
  probability: bigint
  trit: number
  verdict: number
}

/** The probabilities of a partition's outcomes, 18 decimals, void last. */
export function probabilitiesOf(spec: Spec): bigint[] {
  return [...spec.verses, spec.void].map(({ probability }) => parseUnits(probability, 18))
}

/** A partition's report: one entry for each outcome, void last. */
export function reportOf(spec: Spec, worlds: readonly WorldOutcome[]): ReportedWorld[] {
  const probabilities = probabilitiesOf(spec)
  const verses = spec.verses.map(({ trit }, outcome) => {
    const world = worlds.find((each) => each.outcome === outcome)
    const ran = world && world.stateRoot !== null
    return {
      stateRoot: ran ? world.stateRoot! : zeroHash,
      cost: ran ? BigInt(world.cost!) : 0n,
      probability: probabilities[outcome]!,
      trit,
      verdict: ran ? (world.isVerified ? VERIFIED : RAN) : FAILED,
    }
  })
  return [...verses, { stateRoot: zeroHash, cost: 0n, probability: 0n, trit: 0, verdict: 0 }]
}

/** What the notebook remembers of a report. Solidity: keccak256(abi.encode(worlds)). */
export function reportHash(worlds: readonly ReportedWorld[]): Hex {
  const [, , parameter] = getAbiItem({ abi: worldsAbi, name: 'report' }).inputs
  return keccak256(encodeAbiParameters([parameter], [worlds]))
}

/** The call that posts it. */
export function reportCall(
  notebook: Address,
  { path, question }: PartitionRecord,
  worlds: readonly ReportedWorld[],
): Call {
  const args = [path, question.id, worlds]
  return { to: notebook, abi: worldsAbi, functionName: 'report', args }
}

/** The journal's event of a posted report. */
export function reportedEvent(
  { parent, question }: PartitionRecord,
  spec: Spec,
  { worlds, winner }: StepOutputs['verify'],
  { tx, block }: { tx: Hex; block: number },
  latencyMs: number,
): JournalEvent {
  const byOutcome = <T>(read: (world: WorldOutcome) => T) => [
    ...spec.verses.map((_, outcome) => {
      const world = worlds.find((each) => each.outcome === outcome)
      return world ? read(world) : null
    }),
    null,
  ]
  return {
    kind: 'partition.reported',
    parent,
    question: question.id,
    winner,
    probabilities: probabilitiesOf(spec).map(String),
    costs: byOutcome(({ cost }) => cost),
    stateRoots: byOutcome(({ stateRoot }) => stateRoot),
    txHash: tx,
    blockNumber: block,
    latencyMs,
  }
}

/**
 * The journal's event of what the costs say, when a nash and an optimal verse both ran. Selfish players cost what they come to
 * by themselves; the optimum is the least that was found.
 */
export function wevEvent(
  {
    key,
    parent,
    question,
  }: Pick<PartitionRecord, 'key' | 'parent'> & {
    question: Pick<PartitionRecord['question'], 'id'>
  },
  spec: Spec,
  worlds: readonly WorldOutcome[],
  names: Names,
): JournalEvent[] {
  const find = (name: string, costOf: (world: WorldOutcome) => string | null) => {
    const outcome = spec.verses.findIndex(
      (verse) => verse.name === name || verse.name === `verse-${name}`,
    )
    const world = worlds.find((each) => each.outcome === outcome)
    const cost = world && costOf(world)
    return cost ? { outcome, cost: BigInt(cost) } : null
  }
  const nash = find('nash', ({ cost, optimized }) => optimized?.ownCost ?? cost)
  const optimal = find('optimal', ({ cost }) => cost)
  if (!nash || !optimal) return []
  const wev = costWev(nash.cost, optimal.cost)
  return [
    {
      kind: 'wev.measured',
      wevId: names.wev(key),
      seedHex: numberToHex(spec.seed),
      worldFrom: names.world(key, nash.outcome),
      worldTo: names.world(key, optimal.outcome),
      parent,
      question: question.id,
      costNash: nash.cost.toString(),
      costOptimal: optimal.cost.toString(),
      priceOfAnarchy: wev.priceOfAnarchy?.toString() ?? null,
      wevRatio: wev.wevRatio?.toString() ?? null,
      wevAbs: wev.wevAbs.toString(),
      isInverted: wev.isInverted,
    },
  ]
}
