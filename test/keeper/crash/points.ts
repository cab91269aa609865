import type { Hex } from 'viem'
import { type StepName, STEPS } from '../../../keeper/jobs/machine.ts'
import type { Books } from '../../../keeper/keeping.ts'

// The places at which a keeper can end between two writes. Those of steps are listed from the machine's own list.

/** A place, and the partition or question at which it counts. */
export type Hold = { point: string; about: Hex }

/** Every place around a step of a partition: its intent is recorded, its effect took place, that is recorded. */
export const STEP_POINTS: readonly { point: string; step: StepName }[] = STEPS.flatMap((step) =>
  // The decision to answer has no effect of its own: it is recorded, and another job acts on it.
  (step === 'answer' ? ['acted', 'recorded'] : ['intended', 'acted', 'recorded']).map((moment) => ({
    point: `${moment} ${step}`,
    step,
  })),
)

/** Around what a verse's world is snapshotted for, once it has run. */
export const SNAPSHOT_POINTS = ['acted verse-snapshot', 'recorded verse-snapshot']

/** Around the last word on an answer. */
export const ANSWER_POINTS = ['acted answered', 'recorded answered']

/** Around a transaction of either kind: signed and not sent; in a block and not written down; written down and no more. */
export type TxPoint = `${'signed' | 'sent' | 'settled'} ${'report' | 'answer'}`
export const TX_POINTS: readonly TxPoint[] = (['report', 'answer'] as const).flatMap((kind) =>
  (['signed', 'sent', 'settled'] as const).map((moment): TxPoint => `${moment} ${kind}`),
)

/** The push-down is in the books, and nobody has begun with it. */
export const FOLLOWED = 'followed'

/** Books that call `reach` at every place. What `reach` does not let go of stays there. */
export function watched(
  { chain, partitions, answers, txs }: Books,
  reach: (point: string, about: string) => Promise<void>,
): Books {
  const reachTx = async (moment: string, purposes: readonly string[]) => {
    for (const purpose of purposes) {
      const [kind = '', about = ''] = purpose.split(':')
      await reach(`${moment} ${kind}`, about)
    }
  }
  return {
    chain: {
      ...chain,
      async apply(change) {
        await chain.apply(change)
        const facts =
          change.kind === 'history' ? change.facts : change.blocks.flatMap((block) => block.facts)
        for (const fact of facts) if (fact.kind === 'pushed') await reach(FOLLOWED, fact.question)
      },
    },
    partitions: {
      ...partitions,
      async commit(key, transition, also) {
        const { done, intend } = transition
        if (done) await reach(`acted ${done.step}`, key)
        const attempt = await partitions.commit(key, transition, also)
        if (done) await reach(`recorded ${done.step}`, key)
        if (intend) await reach(`intended ${intend}`, key)
        return attempt
      },
      async setVerseSnapshot(key, ...snapshot) {
        await reach('acted verse-snapshot', key)
        await partitions.setVerseSnapshot(key, ...snapshot)
        await reach('recorded verse-snapshot', key)
      },
    },
    answers: {
      ...answers,
      async mined(question, ...end) {
        await reach('acted answered', question)
        await answers.mined(question, ...end)
        await reach('recorded answered', question)
      },
    },
    txs: {
      ...txs,
      async sign(signing, ...how) {
        const tx = await txs.sign(signing, ...how)
        await reachTx('signed', tx.purposes)
        return tx
      },
      async settle(tx, end) {
        await reachTx('sent', tx.purposes)
        const isSettled = await txs.settle(tx, end)
        await reachTx('settled', tx.purposes)
        return isSettled
      },
    },
  }
}
