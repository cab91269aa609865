import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { isFunctionLink, type Links } from '../links.ts'
import type { HostAnswer, HostCall, Json, LinkConfig } from '../provider.ts'
import { invalid } from './errors.ts'
import { MAX_RESULT_BYTES } from './results.ts'

/** Something that the host does for worlds that are linked to it. It is called outside of the world, with JSON and for JSON. */
export type HostFunction = {
  /** Refuses the config of a link that it cannot work with. @throws INVALID_ARGUMENT */
  check: (config: Readonly<Record<string, string>>) => void
  /**
   * @throws what the program is told: an error's code and message. One that may pass (`isRetryable`) is no answer, and ends the run
   * instead: the program has nothing to do with it.
   */
  call: (args: readonly Json[], how: FunctionCall) => Promise<unknown>
}

/** What a function is given beside the program's arguments. */
export type FunctionCall = {
  /** The link's own. */
  config: Readonly<Record<string, string>>
  instanceId: string
  /** Says when nobody waits for the answer any more. */
  signal: AbortSignal
}

/** Functions by the names under which links' configs know them. */
export type HostFunctions = Readonly<Record<string, HostFunction>>

/** Calls a function for a program. Never rejects. */
type Call = (name: string, args: Json[]) => Promise<HostAnswer>

const answer: z.ZodType<HostAnswer> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('value'), value: z.json() }),
  z.strictObject({ kind: z.literal('error'), code: z.string(), message: z.string() }),
])

/** Calls as they travel and as they are kept. */
export const hostCalls: z.ZodType<HostCall[]> = z.array(
  z.strictObject({ name: z.string(), args: z.array(z.json()), answer }),
)

/** The functions that a provider's worlds can be linked to. */
export type Functions = {
  /** Refuses a link to a function that there is none of, or that cannot be. @throws UNSUPPORTED, INVALID_ARGUMENT */
  accept: (link: LinkConfig) => void
  /**
   * Does a run whose program can call what links give its world; `call` is null when that is nothing and no answers were
   * recorded. Gives the calls that were answered with its result.
   * @throws what `run` rejects with, and a function's error that may pass
   */
  during: <result>(
    world: { instanceId: string; component: string | undefined },
    given: { answers?: readonly HostCall[] | undefined; signal: AbortSignal },
    run: (call: Call | null, signal: AbortSignal) => Promise<result>,
  ) => Promise<{ result: result; calls: HostCall[] }>
}

/** @param id the provider's */
export function createFunctions(id: string, functions: HostFunctions, links: Links): Functions {
  const linked = (name: string, sources: readonly string[]) =>
    sources.flatMap((source) => links.functionsOf(source)).find((link) => link.name === name)

  /** Asks again at every call whether a link permits it. */
  const live =
    (
      sources: readonly string[],
      how: Omit<FunctionCall, 'config'>,
      calls: HostCall[],
      broken: (reason: unknown) => void,
    ): Call =>
    async (name, args) => {
      const link = linked(name, sources)
      const target = functions[link?.config['function'] ?? '']
      if (link === undefined || target === undefined) return notLinked(name)
      let answer: HostAnswer
      try {
        answer = await answerOf(() => target.call(args, { ...how, config: link.config }))
      } catch (error) {
        broken(error)
        return notLinked(name)
      }
      // The right may have ended while the function was at work.
      if (linked(name, sources) !== link) return notLinked(name)
      calls.push({ name, args, answer })
      return answer
    }

  return {
    accept: (link) => {
      if (!isFunctionLink(link)) return
      const wanted = link.config['function'] ?? ''
      const found = Object.hasOwn(functions, wanted) ? functions[wanted] : undefined
      if (found === undefined)
        throw new MultiverseError(
          'UNSUPPORTED',
          `${id} has no function ${wanted} for its worlds, only: ${Object.keys(functions).join(', ') || 'none'}`,
        )
      if (link.target !== id) throw invalid(`a function's link leads to ${id}, not ${link.target}`)
      found.check(link.config)
    },

    during: async ({ instanceId, component }, { answers, signal }, run) => {
      const calls: HostCall[] = []
      if (answers !== undefined)
        return { result: await run(recorded(answers, calls), signal), calls }
      const sources = component === undefined ? [instanceId] : [instanceId, component]
      if (sources.every((source) => links.functionsOf(source).length === 0))
        return { result: await run(null, signal), calls }
      const broken = new AbortController()
      const either = AbortSignal.any([signal, broken.signal])
      const how = { instanceId, signal: either }
      const call = live(sources, how, calls, (reason) => broken.abort(reason))
      try {
        return { result: await run(call, either), calls }
      } catch (error) {
        broken.signal.throwIfAborted()
        throw error
      }
    },
  }
}

/** What a program is told that calls what it has no link to. */
export function notLinked(name: string): HostAnswer {
  return { kind: 'error', code: NOT_LINKED, message: `no link gives this world a function ${name}` }
}

/** The code of a program that failed for want of a link. */
export const NOT_LINKED = 'FUNCTION_NOT_LINKED'

/** @throws what may pass */
async function answerOf(call: () => Promise<unknown>): Promise<HostAnswer> {
  try {
    const json = JSON.stringify((await call()) ?? null)
    if (Buffer.byteLength(json) > MAX_RESULT_BYTES)
      throw new Error(`the answer is longer than ${MAX_RESULT_BYTES} bytes of JSON`)
    return { kind: 'value', value: JSON.parse(json) as Json }
  } catch (error) {
    if (isMultiverseError(error) && error.isRetryable) throw error
    const code = isMultiverseError(error) ? error.code : 'FUNCTION_FAILED'
    return { kind: 'error', code, message: oneLine(error) }
  }
}

/** Answers calls from what was recorded, in order. */
function recorded(answers: readonly HostCall[], calls: HostCall[]): Call {
  return async (name, args) => {
    const next = answers[calls.length]
    if (next?.name !== name || !isDeepStrictEqual(next.args, args)) return notLinked(name)
    calls.push(next)
    return next.answer
  }
}
