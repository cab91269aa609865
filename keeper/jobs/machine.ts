/** The steps that make worlds and learn from them, none of which touches the chain. */
export const WORLD_STEPS = [
  /** Find the spec that matches the question's hash. */
  'spec',
  /** Choose the providers that serve what the spec needs. */
  'plan',
  /** Create the world to split: a new one at ROOT, else one branched from the parent verse's world. */
  'base',
  /** Run the spec's setup in it and snapshot it. */
  'snapshot',
  /** Branch one world for each verse. */
  'branch',
  /** Run the program in all of them, side by side. */
  'execute',
  /** Where the spec asks for it, look for parameters that cost less than the verses' own strategies. */
  'optimize',
  /** Do every lane again in another process, and choose the winner among those that hold. */
  'verify',
] as const
export type WorldStep = (typeof WORLD_STEPS)[number]

/** The steps of a partition, in order. Each is intended before its effect and done after it. */
export const STEPS = [
  ...WORLD_STEPS,
  /** Post the partition's report. */
  'report',
  /** Decide to answer with the pipeline's winner. */
  'answer',
  /** Keep the world that came true, end the others. */
  'merge',
] as const
export type StepName = (typeof STEPS)[number]

/** All that decides what a partition does next. */
export type Progress = {
  /** The push-down it began with stands in a block of the chain. */
  isOnChain: boolean
  /** That block is as deep as binding effects need. */
  isTriggerDeep: boolean
  hasFailed: boolean
  /** It is none that this keeper serves. */
  isDeclined: boolean
  /** No new work may begin: the budget is spent, or it is not known yet whether it is served. */
  isHeld: boolean
  /** Steps that are done. */
  done: ReadonlySet<StepName>
  /** Instances that live in this process: the base, a world for each verse. A restart ends them. */
  live: { base: boolean; verses: boolean; any: boolean }
  /** The keeper is the question's oracle, its spec leaves the answer to the pipeline, and a world ran. */
  isAnswerOurs: boolean
  /** Somebody answered, at any depth. */
  isAnswered: boolean
  /** The answer is as deep as binding effects need, or the deadline passed. */
  isResolved: boolean
  /** A question of the parent's path was answered otherwise: the parent never was. */
  isCollapsed: boolean
}

/** How a partition stands between runs. */
export type RestingState = 'running' | 'waiting' | 'reported' | 'answered'

type FinalState = 'resolved' | 'failed' | 'cancelled' | 'declined'

/** What a partition does next. */
export type Plan =
  | { kind: 'run'; step: StepName }
  /** Its instances have nothing to live for. */
  | { kind: 'release' }
  /** Until the chain or an answer changes something. */
  | { kind: 'wait'; state: RestingState }
  | { kind: 'finish'; state: FinalState }

/**
 * Decides the next action of a partition. It looks at nothing but what is stored and what lives, so a run can end at any
 * moment and another go on from there.
 */
export function plan(progress: Progress): Plan {
  const { done, live } = progress
  if (!progress.isOnChain) return live.any ? { kind: 'release' } : finish('cancelled')
  if (progress.hasFailed) return live.any ? { kind: 'release' } : finish('failed')
  if (progress.isCollapsed) return live.any ? { kind: 'release' } : finish('resolved')
  if (progress.isDeclined) return live.any ? { kind: 'release' } : finish('declined')
  // What has begun goes to its end: its worlds cost as long as they live.
  if (progress.isHeld && !live.any && !done.has('verify')) return wait('waiting')

  if (!done.has('spec')) return run('spec')
  if (!done.has('plan')) return run('plan')
  if (!done.has('execute')) {
    if (!done.has('snapshot')) return run(live.base && done.has('base') ? 'snapshot' : 'base')
    return run(live.verses && done.has('branch') ? 'execute' : 'branch')
  }
  if (!done.has('optimize')) return run('optimize')
  if (!done.has('verify')) return run('verify')
  if (!done.has('report')) return progress.isTriggerDeep ? run('report') : wait('running')
  if (progress.isAnswerOurs && !progress.isAnswered && !done.has('answer')) return run('answer')
  if (!progress.isResolved) return wait(progress.isAnswered ? 'answered' : 'reported')
  if (!done.has('merge')) return run('merge')
  return finish('resolved')
}

/** The action before all others for a partition whose worlds alone are wanted; null when they have run. */
export function planWorlds(progress: Pick<Progress, 'done' | 'live'>): StepName | null {
  const next = plan({
    ...progress,
    isOnChain: true,
    isTriggerDeep: false,
    hasFailed: false,
    isDeclined: false,
    isHeld: false,
    isAnswerOurs: false,
    isAnswered: false,
    isResolved: false,
    isCollapsed: false,
  })
  return next.kind === 'run' && next.step !== 'merge' ? next.step : null
}

function run(step: StepName): Plan {
  return { kind: 'run', step }
}

function wait(state: RestingState): Plan {
  return { kind: 'wait', state }
}

function finish(state: FinalState): Plan {
  return { kind: 'finish', state }
}
