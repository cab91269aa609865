import type { Address, Hex } from 'viem'
import { readContract } from 'viem/actions'
import { worldsAbi } from '../../sdk/abi.ts'
import { contractError } from '../../sdk/actions.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Rpc } from '../chain/rpc.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { ChainStore } from '../store/chain.ts'
import type { Journal } from '../store/journal.ts'
import type { PartitionRecord, PartitionStore } from '../store/partitions.ts'
import type { Mined, Sender } from '../tx/send.ts'
import type { Names } from './key.ts'
import { balancesOf, laneVerses, requireClosed } from './lanes.ts'
import type { Pipeline } from './pipeline.ts'
import {
  reportCall,
  type ReportedWorld,
  reportedEvent,
  reportHash,
  reportOf,
  wevEvent,
} from './report.ts'

/** Posts a verified partition's report. Says whether the run goes on; if not, a block is waited for. */
export type Report = (record: PartitionRecord) => Promise<boolean>

/** The step that posts reports, each once, however often it is tried. */
export function createReporting(options: {
  rpc: Rpc
  chain: Pick<ChainStore, 'view'>
  partitions: PartitionStore
  pipeline: Pick<Pipeline, 'specOf'>
  journal: Pick<Journal, 'calls'>
  names: Names
  sender: Sender
  notebook: Address
  confirmations: number
  metrics: Metrics
  log: Log
}): Report {
  const { chain, partitions, sender, confirmations, log, metrics } = options
  const { specOf } = options.pipeline

  async function report(record: PartitionRecord): Promise<boolean> {
    const { key, steps } = record
    const spec = specOf(record)
    const verified = steps.verify!.output
    if (verified.winner === null) {
      const errors = verified.worlds.map(
        ({ outcome, error }) => `${spec.verses[outcome]!.name} ${error?.code}: ${error?.message}`,
      )
      throw new MultiverseError('WORLDS_FAILED', `no world ran to its end: ${errors.join('; ')}`)
    }
    requireClosed(record, spec, balancesOf(await options.journal.calls(laneVerses(record))))
    const stopTimer = metrics.step('report')
    const attempt = await partitions.commit(key, { intend: 'report' })
    const begun = performance.now()
    const content = reportOf(spec, verified.worlds)
    const purpose = `report:${key}`
    const mined =
      (await sender.performed(purpose)) ??
      (await alreadyReported(record, content)) ??
      (await sender.perform(purpose, reportCall(options.notebook, record, content)))
    const depth = mined.block + confirmations
    if (confirmations > 0 && chain.view().reach < depth) return !(await restUntil(key, depth))
    const reportMs = performance.now() - begun
    const blockToReportMs = Math.max(0, Date.now() - record.seenAt)
    await partitions.commit(key, {
      done: { step: 'report', output: mined, attempt },
      report: mined,
      timings: { reportMs, blockToReportMs },
      events: [
        reportedEvent(record, spec, verified, mined, blockToReportMs),
        ...wevEvent(record, spec, verified.worlds, options.names),
      ],
    })
    stopTimer()
    metrics.reported(blockToReportMs)
    log.info({ partition: key, ...mined, blockToReportMs }, 'partition.reported')
    return true
  }

  /** Where the chain has this keeper's report of the partition already, from a life that left no books. */
  async function alreadyReported(
    record: PartitionRecord,
    content: readonly ReportedWorld[],
  ): Promise<Mined | null> {
    const { parent, question } = record
    const present = await readContract(options.rpc, {
      address: options.notebook,
      abi: worldsAbi,
      functionName: 'reportHash',
      args: [sender.address, parent, question.id],
    }).catch((error: unknown) => {
      // A notebook that reverts is not an endpoint that fails.
      throw contractError(error)
    })
    if (BigInt(present) === 0n) return null
    if (present !== reportHash(content))
      throw new MultiverseError(
        'ALREADY_REPORTED',
        `${sender.address} reported partition ${record.key} before, with another content`,
      )
    if (record.reportTx === null || record.reportBlock === null)
      throw new MultiverseError('REPORT_UNSEEN', 'the report is in a block not followed yet', {
        isRetryable: true,
      })
    return { tx: record.reportTx, block: record.reportBlock }
  }

  /** Ends the run until the head is `block`, unless it is already. Says whether it did. */
  function restUntil(key: Hex, block: number): Promise<boolean> {
    return partitions.decide(key, () => (chain.view().reach >= block ? null : { waitBlock: block }))
  }

  return report
}
