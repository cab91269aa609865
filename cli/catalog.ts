import type { Address, Hex } from 'viem'
import { getContractEvents } from 'viem/actions'
import { multiverseAbi } from '../sdk/abi.ts'
import { contractError, type ReadClient } from '../sdk/actions.ts'
import type { Deployment } from '../sdk/deployment.ts'
import { isMultiverseError, MultiverseError } from '../sdk/errors.ts'
import { childPaths, type Path, verseId } from '../sdk/ids.ts'
import { type LoadedSpec, parseSpec } from '../sdk/spec.ts'
import type { Names } from './path.ts'

/** A verse some push-down or pull-up was about. */
type KnownVerse = { verse: Hex; path: Path; token: Address }

/** What the chain's events tell about questions and verses. Read once, and once more after {@link Catalog.forget}. */
export type Catalog = Names & {
  /** The spec a question is bound to, when it is published as a data: URI. */
  spec: (question: Hex) => Promise<LoadedSpec | undefined>
  /** Every verse that holds or held something, without ROOT, with the token. */
  verses: () => Promise<KnownVerse[]>
  /** Reads all specs at once, for who is going to ask about most questions. */
  readAll: () => Promise<void>
  forget: () => void
}

/** A catalog of a deployment's ledger. */
export function createCatalog(client: ReadClient, deployment: Deployment): Catalog {
  const where = {
    address: deployment.addresses.multiverse,
    abi: multiverseAbi,
    fromBlock: BigInt(deployment.startBlock),
    toBlock: 'latest',
    strict: true,
  } as const
  const asked = memoize(() =>
    reading(getContractEvents(client, { ...where, eventName: 'QuestionAsked' })),
  )
  const specs = new Map<Hex, Promise<LoadedSpec | undefined>>()
  /** Every URI at once, for who asks about every question. */
  const published = memoize(async () => {
    const logs = await reading(getContractEvents(client, { ...where, eventName: 'SpecPublished' }))
    return Map.groupBy(logs, ({ args }) => args.question)
  })

  const loadSpec = async (question: Hex, isOneOfMany: boolean): Promise<LoadedSpec | undefined> => {
    const terms = (await asked.get()).find(({ args }) => args.question === question)
    if (terms === undefined) return undefined
    const logs = isOneOfMany
      ? ((await published.get()).get(question) ?? [])
      : await reading(
          getContractEvents(client, { ...where, eventName: 'SpecPublished', args: { question } }),
        )
    for (const { args } of logs) {
      const loaded = readDataUri(args.uri)
      if (loaded?.specHash === terms.args.specHash) return loaded
    }
    return undefined
  }
  const spec = (question: Hex, isOneOfMany = false) => {
    const known = specs.get(question) ?? loadSpec(question, isOneOfMany)
    specs.set(question, known)
    return known
  }

  return {
    spec: (question) => spec(question),
    title: async (question) => (await spec(question, true))?.spec.title,
    async readAll() {
      await published.get()
      for (const { args } of await asked.get()) await spec(args.question, true)
    },
    questions: async () => (await asked.get()).map(({ args }) => args.question),
    labels: async (question) => (await spec(question))?.labels,
    async verses() {
      const [pushed, pulled] = await Promise.all([
        reading(getContractEvents(client, { ...where, eventName: 'PushDown' })),
        reading(getContractEvents(client, { ...where, eventName: 'PullUp' })),
      ])
      const found = new Map<string, KnownVerse>()
      for (const { args } of [...pushed, ...pulled])
        for (const path of [args.path, ...childPaths(args.path, args.question)]) {
          const verse = verseId(path)
          if (path.length > 0)
            found.set(`${verse}${args.token}`, { verse, path, token: args.token })
        }
      return [...found.values()]
    },
    forget() {
      asked.forget()
      published.forget()
      specs.clear()
    },
  }
}

/** Undefined for another kind of URI and for a text that is no spec: others may publish what they like. */
function readDataUri(uri: string): LoadedSpec | undefined {
  const [, isBase64, body] = /^data:[^,]*?(;base64)?,(.*)$/s.exec(uri) ?? []
  if (body === undefined) return undefined
  try {
    return parseSpec(
      isBase64 === undefined
        ? decodeURIComponent(body)
        : Buffer.from(body, 'base64').toString('utf8'),
    )
  } catch (error) {
    if (isMultiverseError(error) || error instanceof URIError) return undefined
    throw error
  }
}

async function reading<T>(logs: Promise<T>): Promise<T> {
  try {
    return await logs
  } catch (error) {
    const { message } = contractError(error)
    throw new MultiverseError('RPC_FAILED', message, { cause: error, isRetryable: true })
  }
}

function memoize<T>(load: () => Promise<T>): { get: () => Promise<T>; forget: () => void } {
  let value: Promise<T> | undefined
  return {
    get: () => (value ??= load()),
    forget: () => {
      value = undefined
    },
  }
}
