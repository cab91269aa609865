import type { Hex } from 'viem'
import type { Call } from '../../../providers/triads.ts'
import { MultiverseError } from '../../../sdk/errors.ts'
import type { JournalEvent } from '../../../sdk/journal.ts'
import type { Fact } from '../../../keeper/chain/facts.ts'
import type { Change } from '../../../keeper/chain/follow.ts'
import { partitionKey } from '../../../keeper/jobs/key.ts'
import type { StepName } from '../../../keeper/jobs/machine.ts'
import type { ChainStore, ChainView } from '../../../keeper/store/chain.ts'
import type { Transact } from '../../../keeper/store/database.ts'
import type {
  PartitionRecord,
  PartitionStore,
  QuestionRecord,
  Transition,
} from '../../../keeper/store/partitions.ts'
import type { SpecStore } from '../../../keeper/store/specs.ts'

/** Nothing is written down: a keeper with these remembers what a run needs in maps, and a crash loses all of it. */
export type MemoryBooks = {
  chain: Pick<ChainStore, 'apply' | 'view'>
  partitions: PartitionStore
  specs: SpecStore
  /** Takes in what would be journalled; of that only what the report asks for is kept. */
  tell: (event: JournalEvent) => void
  calls: (verses: readonly Hex[]) => Promise<Call[]>
}

/** @param wake is told of partitions that there is something to do for */
export function createMemoryBooks(
  ledger: { chainId: number; multiverse: Hex },
  confirmations: number,
  wake: (key: Hex) => void,
): MemoryBooks {
  const questions = new Map<Hex, QuestionRecord>()
  const uris = new Map<Hex, string[]>()
  const specs = new Map<Hex, string>()
  const records = new Map<Hex, PartitionRecord>()
  const byQuestion = new Map<Hex, Hex[]>()
  const waiting = new Map<Hex, number>()
  const snapshots = new Map<string, string>()
  const called = new Map<string, Map<string, Call>>()
  let view: ChainView = { head: null, reach: -1, deep: -1, deepTime: -1 }

  function take(fact: Fact): void {
    if (fact.kind === 'asked')
      questions.set(fact.question, {
        id: fact.question,
        oracle: fact.oracle,
        outcomes: fact.outcomes,
        deadline: Number(fact.deadline),
        specHash: fact.specHash,
        askedBlock: fact.at.block,
        resolvedBlock: null,
        winner: null,
        isExpired: false,
      })
    else if (fact.kind === 'published')
      uris.set(fact.question, [...(uris.get(fact.question) ?? []), fact.uri])
    else if (fact.kind === 'pushed') begin(fact)
    else if (fact.kind === 'resolved') {
      const question = questions.get(fact.question)!
      questions.set(question.id, {
        ...question,
        resolvedBlock: fact.at.block,
        winner: fact.outcome,
        isExpired: fact.isExpired,
      })
      for (const key of byQuestion.get(question.id) ?? []) wake(key)
    } else if (fact.kind === 'reported') {
      const record = records.get(keyOf(fact))
      if (record) Object.assign(record, { reportTx: fact.at.tx, reportBlock: fact.at.block })
    }
  }

  const keyOf = (of: { parent: Hex; question: Hex }) =>
    partitionKey(ledger.chainId, ledger.multiverse, of)

  function begin({ parent, question, path, at }: Extract<Fact, { kind: 'pushed' }>): void {
    const key = keyOf({ parent, question })
    if (records.has(key)) return
    records.set(key, {
      key,
      parent,
      path,
      question: questions.get(question)!,
      ancestors: [],
      triggerBlock: at.block,
      triggerHash: at.hash,
      triggerTx: at.tx,
      seenAt: Date.now(),
      state: 'running',
      error: null,
      waiting: null,
      steps: {},
      reportTx: null,
      reportBlock: null,
      answer: null,
      timings: {},
      specJson: null,
    })
    byQuestion.set(question, [...(byQuestion.get(question) ?? []), key])
    wake(key)
  }

  async function apply(change: Change): Promise<void> {
    if (change.kind === 'history') return change.facts.forEach(take)
    if (change.ancestor !== null)
      throw new MultiverseError('UNSUPPORTED', 'what is not written down cannot be taken back')
    for (const { facts } of change.blocks) facts.forEach(take)
    const head = change.window.at(-1)
    if (!change.isHead || !head) return
    const deep = head.number - confirmations
    const deepTime = change.window.findLast(({ number }) => number <= deep)?.timestamp ?? -1
    view = { head, reach: head.number, deep, deepTime }
    for (const [key, block] of waiting) if (block <= head.number && waiting.delete(key)) wake(key)
  }

  function recordOf(key: Hex): PartitionRecord {
    const record = records.get(key)
    if (!record) throw new MultiverseError('UNKNOWN_PARTITION', `no partition ${key}`)
    const question = questions.get(record.question.id)!
    const specJson = specs.get(question.specHash) ?? null
    return { ...record, question, specJson, steps: { ...record.steps } }
  }

  function write(key: Hex, transition: Transition): number {
    const record = records.get(key)!
    const { done, intend, state, error, waiting: held, waitBlock, report, timings } = transition
    const steps = record.steps as Record<StepName, { isDone: boolean; attempt: number }>
    if (transition.restart) record.steps = {}
    if (done)
      Object.assign(steps, {
        [done.step]: { isDone: true, attempt: done.attempt ?? 1, output: done.output },
      })
    const attempt = intend === undefined ? 0 : (steps[intend]?.attempt ?? 0) + 1
    if (intend) steps[intend] = { isDone: false, attempt }
    if (state) record.state = state
    if (error !== undefined) record.error = error
    if (held !== undefined) record.waiting = held
    if (waitBlock !== undefined) waiting.set(key, waitBlock)
    if (report) Object.assign(record, { reportTx: report.tx, reportBlock: report.block })
    Object.assign(record.timings, timings)
    transition.events?.forEach(tell)
    return attempt
  }

  function tell(event: JournalEvent): void {
    if (event.kind !== 'provider.invoked' || event.verseId === null) return
    const { providerId, verseId } = event
    const error = event.error === null ? null : true
    const ofVerse = called.get(verseId) ?? new Map<string, Call>()
    ofVerse.set(`${providerId} ${error}`, { providerId, verseId, error })
    called.set(verseId, ofVerse)
  }

  const all = () => [...records.keys()].map(recordOf)
  return {
    tell,
    calls: async (verses) => verses.flatMap((verse) => [...(called.get(verse)?.values() ?? [])]),
    chain: { apply, view: () => view },
    partitions: {
      load: async (key) => recordOf(key),
      list: async () => all(),
      find: async (parent, question) =>
        all().find((each) => each.parent === parent && each.question.id === question) ?? null,
      openers: async (openings) =>
        openings.flatMap(({ outcome, ...of }) => {
          const key = keyOf(of)
          return records.has(key) ? [{ key, outcome }] : []
        }),
      decide: async (key, decide) => {
        const transition = decide(recordOf(key))
        if (transition) write(key, transition)
        return transition !== null
      },
      verseSnapshot: async (key, outcome) => snapshots.get(`${key} ${outcome}`) ?? null,
      setVerseSnapshot: async (key, outcome, snapshotId, events) => {
        if (snapshotId === null) snapshots.delete(`${key} ${outcome}`)
        else snapshots.set(`${key} ${outcome}`, snapshotId)
        events.forEach(tell)
      },
      commit: async (key, transition, also) => {
        const attempt = write(key, transition)
        await also?.(NOWHERE)
        return attempt
      },
      counts: async () => [{ state: 'all', count: records.size }],
    },
    specs: {
      uris: async (question) => uris.get(question) ?? [],
      put: async (_tx, specHash, json) => void specs.set(specHash, json),
      get: async (specHash) => specs.get(specHash) ?? null,
      question: async (id) => questions.get(id) ?? null,
    },
  }
}

async function refuse(): Promise<never> {
  throw new Error('there are no books to write this into')
}

/** A transaction in which nothing is written. */
const NOWHERE: Transact = {
  query: refuse,
  boss: { executeSql: refuse },
  ended: Promise.resolve(true),
}
