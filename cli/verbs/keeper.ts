import { formatEther, type Hex } from 'viem'
import type { z } from 'zod'
import {
  type JOB_STATES,
  keeperDutiesOutput,
  keeperJobOutput,
  keeperJobsOutput,
  keeperKeysOutput,
  keeperReconcileOutput,
  keeperStatusOutput,
  keeperTxsOutput,
  keeperWorldsOutput,
  type TX_STATES,
} from '../../sdk/keeperOutput.ts'
import { type CommonOptions, dataFolder } from '../context.ts'
import { usageError } from '../errors.ts'
import { withKeeper } from '../keeperControl.ts'
import { plain, type Result, table } from '../output.ts'
import { short } from './question.ts'

export type JobsOptions = CommonOptions & { state?: (typeof JOB_STATES)[number]; limit: number }
export type ActOptions = CommonOptions & { all?: boolean }
export type TxsOptions = CommonOptions & { state?: (typeof TX_STATES)[number]; limit: number }

/** How the keeper of the data folder is doing. */
export async function keeperStatusVerb(
  options: CommonOptions,
): Promise<Result<z.infer<typeof keeperStatusOutput>>> {
  const status = keeperStatusOutput.parse(await ask(options, 'GET', '/status'))
  const open = status.jobs.filter(({ state }) => state !== 'completed')
  const spent = `${status.spentToday.toFixed(1)} core-seconds`
  const rows = status.isRunning
    ? [
        ['keeper', status.address],
        [
          'chain',
          `${status.chainId}${status.head === null ? '' : `, block ${status.head.number}`}`,
        ],
        ['ready', status.notReady === null ? 'yes' : `no: ${plain(status.notReady)}`],
        ['worlds', `${status.liveWorlds} live`],
      ]
    : [['keeper', 'not running: what its books say']]
  const { perDay = null } = status.isRunning ? status.budget : {}
  return {
    json: status,
    text: table([
      ...rows,
      ['partitions', counted(status.partitions)],
      ['answers', counted(status.answers)],
      [
        'jobs',
        counted(open.map(({ queue, state, count }) => ({ state: `${queue} ${state}`, count }))),
      ],
      ['dead letters', `${status.dead}`],
      ['branched by another too', `${status.doubled}`],
      ['transactions', counted(status.transactions)],
      ['duties', counted(status.duties)],
      ['spent today', perDay === null ? spent : `${spent} of ${perDay}`],
    ]),
  }
}

/** The jobs that are not done, or everything about one. */
export async function keeperJobsVerb(
  key: string | undefined,
  options: JobsOptions,
): Promise<Result> {
  if (key !== undefined) return oneJob(key, options)
  const { state, limit } = options
  const query = new URLSearchParams({
    limit: `${limit}`,
    ...(state === undefined ? {} : { state }),
  })
  const { jobs } = keeperJobsOutput.parse(await ask(options, 'GET', `/jobs?${query.toString()}`))
  return {
    json: { jobs },
    text:
      jobs.length === 0
        ? `no ${state ?? 'open'} jobs`
        : table(
            jobs.map((job) => [
              job.key.slice(0, 18),
              job.queue,
              job.question === null ? '' : short(job.question),
              job.state,
              job.step ?? '',
              `${job.failures}`,
              job.nextAt ?? '',
              whyOf(job),
            ]),
            ['key', 'queue', 'question', 'state', 'step', 'failures', 'again at', 'why'],
          ),
  }
}

async function oneJob(key: string, options: CommonOptions): Promise<Result> {
  const job = keeperJobOutput.parse(await ask(options, 'GET', `/jobs/${encodeURIComponent(key)}`))
  return {
    json: job,
    text: table([
      ['key', job.key],
      ['queue', job.queue],
      ...(job.parent === null ? [] : [['parent', job.parent]]),
      ['question', job.question ?? ''],
      ['state', job.partition === null ? job.state : `${job.state}, partition ${job.partition}`],
      ['step', job.step ?? ''],
      ['failures', `${job.failures}${job.class === null ? '' : `, ${job.class}`}`],
      ['again at', job.nextAt ?? ''],
      ['why', whyOf(job)],
      ...job.history.map(({ at, code, message }) => [at, `${code}: ${plain(message)}`]),
    ]),
  }
}

/** Has a job, or every dead letter, tried again. */
export function keeperRetryVerb(key: string | undefined, options: ActOptions): Promise<Result> {
  return act('retry', 'to be tried again', key, options)
}

/** Takes a dead letter, or all of them, off the list for good. */
export function keeperDropVerb(key: string | undefined, options: ActOptions): Promise<Result> {
  return act('drop', 'dropped', key, options)
}

async function act(
  verb: 'retry' | 'drop',
  done: string,
  key: string | undefined,
  options: ActOptions,
): Promise<Result> {
  if ((key === undefined) === (options.all !== true))
    throw usageError(`name one job, or say --all: multiverse keeper ${verb} --help`)
  const body = { key: key ?? null }
  const { keys } = keeperKeysOutput.parse(await ask(options, 'POST', `/jobs/${verb}`, body))
  const text = keys.length === 0 ? 'no dead letters' : keys.map((each) => `${each} ${done}`)
  return { json: { keys }, text: [text].flat().join('\n') }
}

/** The worlds that live in the keeper's process. */
export async function keeperWorldsVerb(options: CommonOptions): Promise<Result> {
  const { worlds } = keeperWorldsOutput.parse(await ask(options, 'GET', '/worlds'))
  return {
    json: { worlds },
    text:
      worlds.length === 0
        ? 'no live worlds'
        : table(
            worlds.map(({ entityId, provider, instanceId, partition, name }) => [
              entityId,
              plain(name ?? '(split)'),
              provider,
              instanceId,
              short(partition),
            ]),
            ['world', 'verse', 'provider', 'instance', 'partition'],
          ),
  }
}

/** What the keeper does for oracles, question by question. */
export async function keeperDutiesVerb(
  options: CommonOptions,
): Promise<Result<z.infer<typeof keeperDutiesOutput>>> {
  const { duties } = keeperDutiesOutput.parse(await ask(options, 'GET', '/duties'))
  const rows = duties.map(({ question, kind, state, decision, reason, wakeTime, bonds }) => {
    const standing = bonds.filter((each) => each.state === 'open')
    const atStake = standing.reduce((sum, { bond }) => sum + BigInt(bond), 0n)
    return [
      short(question),
      kind,
      state,
      decision === null ? '' : `${decision.outcome}, ${decision.source}`,
      standing.length === 0 ? '' : `${atStake} of ${short(standing[0]!.token)}`,
      bonds.length > 1 ? `${bonds.length - 1}` : '',
      wakeTime === null ? '' : new Date(wakeTime * 1_000).toISOString(),
      reason === null ? '' : `${reason.code}: ${plain(reason.message)}`,
    ]
  })
  const heads = ['question', 'oracle', 'state', 'answer', 'at stake', 'disputes', 'due', 'why']
  return { json: { duties }, text: duties.length === 0 ? 'no duties' : table(rows, heads) }
}

/** The transactions that the keeper signed. */
export async function keeperTxsVerb(options: TxsOptions): Promise<Result> {
  const { state, limit } = options
  const query = new URLSearchParams({
    limit: `${limit}`,
    ...(state === undefined ? {} : { state }),
  })
  const { txs } = keeperTxsOutput.parse(await ask(options, 'GET', `/txs?${query.toString()}`))
  return {
    json: { txs },
    text:
      txs.length === 0
        ? 'no transactions'
        : table(
            txs.map(({ nonce, state: at, block, signedAt, kind, purposes, cost, hash }) => [
              `${nonce}`,
              at,
              block === null ? '' : `${block}`,
              signedAt,
              cost === null ? '' : formatEther(BigInt(cost)),
              [kind === 'call' ? [] : [kind], purposes.map(shortened)].flat(2).join(' '),
              hash,
            ]),
            ['nonce', 'state', 'block', 'signed at', 'cost', 'for', 'hash'],
          ),
  }
}

/** A purpose whose ids are cut. */
function shortened(purpose: string): string {
  return purpose.replace(/0x[0-9a-f]{64}/, (word) => short(word as Hex))
}

/** Has the keeper compare chain, books and worlds now. */
export async function keeperReconcileVerb(options: CommonOptions): Promise<Result> {
  const found = keeperReconcileOutput.parse(await ask(options, 'POST', '/reconcile', {}))
  const { orphans, released, forgotten, missing, phantoms } = found
  return {
    json: found,
    text: table([
      ['orphaned worlds destroyed', `${orphans}`],
      ['ended partitions let go of', `${released}`],
      ['forgotten jobs taken up', `${forgotten}`],
      ['missed facts written down', `${missing}`],
      ['reports and answers that the chain has not, made again', `${phantoms}`],
    ]),
  }
}

function counted(counts: readonly { state: string; count: number }[]): string {
  return counts.map(({ state, count }) => `${count} ${state}`).join(', ') || 'none'
}

function whyOf({ waiting, error }: z.infer<typeof keeperJobsOutput>['jobs'][number]): string {
  if (waiting !== null) return `${waiting.reason}: ${plain(waiting.message)}`
  return error === null ? '' : `${error.code}: ${plain(error.message)}`
}

function ask(
  options: CommonOptions,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<unknown> {
  return withKeeper(dataFolder(options), (call) => call(method, path, body))
}
