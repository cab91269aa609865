import type { Hex } from 'viem'
import { isMultiverseError, MultiverseError } from '../sdk/errors.ts'
import { type LoadedSpec, MAX_SPEC_BYTES, parseSpec } from '../sdk/spec.ts'
import { fetchGuarded, type FetchLimits, isPublicAddress } from './fetch.ts'

/** Finds the spec of a question. */
export type SpecLoader = (wanted: WantedSpec) => Promise<LoadedSpec>

/** What is known of a spec before it is found. */
export type WantedSpec = {
  question: Hex
  specHash: Hex
  /** Of the question, void included. */
  outcomes: number
  /** Where it is said to be, first said first. */
  uris: readonly string[]
}

export type SpecLoaderOptions = {
  /** Base URL of an IPFS gateway, or null for none. */
  ipfsGateway: string | null
  timeoutMs: number
  allowPrivateUrls: boolean
}

/** Anybody may say where a spec is: no more places than this are looked at. */
const MAX_URIS = 16

/**
 * Loads specs: the first published URI whose content matches the question's hash. Content that does not match is as if
 * it had not been published; when nothing matches, the first URI's error is thrown.
 *
 * Errors: SPEC_HASH_MISMATCH, SPEC_OUTCOMES_MISMATCH, SPEC_URL_INVALID, SPEC_PRIVATE_ADDRESS, SPEC_UNREACHABLE
 * (retryable), SPEC_MISSING, and those of `parseSpec`.
 */
export function createSpecLoader(options: SpecLoaderOptions): SpecLoader {
  const limits = { maxBytes: MAX_SPEC_BYTES, timeoutMs: options.timeoutMs }
  const anywhere: FetchLimits = { ...limits, allowHttp: true, isAllowed: () => true }
  const strangers: FetchLimits = options.allowPrivateUrls
    ? anywhere
    : { ...limits, allowHttp: false, isAllowed: isPublicAddress }

  async function read(uri: string): Promise<string> {
    if (/^data:/i.test(uri)) return readDataUri(uri)
    if (/^ipfs:/i.test(uri)) {
      if (options.ipfsGateway === null)
        throw new MultiverseError('SPEC_URL_INVALID', `no IPFS gateway is configured for ${uri}`)
      const path = uri.replace(/^ipfs:\/*(ipfs\/)?/i, '')
      const gateway = options.ipfsGateway.replace(/\/+$/, '')
      // The operator chose the gateway, and what comes from it is checked against the hash.
      return fetchGuarded(`${gateway}/ipfs/${path}`, anywhere)
    }
    return fetchGuarded(uri, strangers)
  }

  return async function load({ question, specHash, outcomes, uris }) {
    const errors: unknown[] = []
    for (const uri of uris.slice(0, MAX_URIS)) {
      try {
        const loaded = parseSpec(await read(uri))
        if (loaded.specHash !== specHash)
          throw new MultiverseError(
            'SPEC_HASH_MISMATCH',
            `the spec of question ${question} hashes to ${loaded.specHash}, the question binds ${specHash}`,
          )
        if (loaded.labels.length !== outcomes)
          throw new MultiverseError(
            'SPEC_OUTCOMES_MISMATCH',
            `the spec has ${loaded.labels.length} outcomes, question ${question} has ${outcomes}`,
          )
        return loaded
      } catch (error) {
        if (!isMultiverseError(error)) throw error
        errors.push(error)
      }
    }
    // What could not be reached may be the one that matches.
    throw (
      errors.find((error) => isMultiverseError(error) && error.isRetryable) ??
      errors[0] ??
      new MultiverseError('SPEC_MISSING', `nobody said where the spec of question ${question} is`)
    )
  }
}

/** The content of a data: URI as text. @throws SPEC_URL_INVALID, SPEC_TOO_LARGE */
function readDataUri(uri: string): string {
  const comma = uri.indexOf(',')
  if (comma === -1)
    throw new MultiverseError(
      'SPEC_URL_INVALID',
      `a data: URI without content: ${uri.slice(0, 80)}`,
    )
  const content = uri.slice(comma + 1)
  // Percent-encoding and base64 only ever make it longer.
  if (content.length > 3 * MAX_SPEC_BYTES)
    throw new MultiverseError(
      'SPEC_TOO_LARGE',
      `a data: URI of ${uri.length} characters holds no spec of at most ${MAX_SPEC_BYTES} bytes`,
    )
  if (/;base64$/i.test(uri.slice(0, comma))) return Buffer.from(content, 'base64').toString('utf8')
  try {
    return decodeURIComponent(content)
  } catch (cause) {
    throw new MultiverseError(
      'SPEC_URL_INVALID',
      `a data: URI with broken percent-encoding: ${uri.slice(0, 80)}`,
      { cause },
    )
  }
}
