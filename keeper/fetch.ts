import { lookup as dnsLookup, type LookupAddress, type LookupAllOptions } from 'node:dns'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { MultiverseError, oneLine } from '../sdk/errors.ts'
import { rateLimited } from '../sdk/retryAfter.ts'

/** Bounds of one fetch. */
export type FetchLimits = {
  maxBytes: number
  /** For everything together, redirects included, milliseconds. */
  timeoutMs: number
  /** Whether plain http will do. */
  allowHttp: boolean
  /** Whether this IP address may be connected to: {@link isPublicAddress}, if a stranger chose the URL. */
  isAllowed: (address: string) => boolean
  /** What is fetched: the first word of the error codes. */
  what?: 'SPEC' | 'SOURCE'
  /** Resolves names; the system's resolver when left out. */
  lookup?: Lookup
}

/** Resolves a name to all of its addresses, as `dns.lookup` does. */
export type Lookup = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

const MAX_REDIRECTS = 5

/**
 * Fetches a document from a URL that a stranger chose. The address is checked after the name was resolved, for each
 * redirect anew, and the connection is made to the address that was checked.
 * @throws SPEC_PRIVATE_ADDRESS, SPEC_TOO_LARGE, SPEC_URL_INVALID, SPEC_UNREACHABLE (retryable), or with SOURCE_ when that is
 * what is fetched; RATE_LIMITED (retryable)
 */
export async function fetchGuarded(url: string, limits: FetchLimits): Promise<string> {
  const signal = AbortSignal.timeout(limits.timeoutMs)
  let target = parseUrl(url, limits)
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await request(target, limits, signal)
    const { statusCode = 0, headers } = response
    if (statusCode >= 300 && statusCode < 400 && headers.location) {
      response.destroy()
      target = parseUrl(URL.parse(headers.location, target.href)?.href ?? headers.location, limits)
      continue
    }
    if (statusCode === 429) {
      response.destroy()
      throw rateLimited(shown(target.href), headers['retry-after'])
    }
    if (statusCode !== 200) {
      response.destroy()
      throw unreachable(target, limits, `status ${statusCode}`)
    }
    return readBody(response, target, limits, signal)
  }
  throw fault(limits, 'UNREACHABLE', `${url} redirects more than ${MAX_REDIRECTS} times`)
}

/** Whether an IP address belongs to the public internet: what is not known to is private. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !PRIVATE.check(address, 'ipv4')
    case 6:
      // A mapped IPv4 address is outside the global unicast block.
      return PUBLIC_V6.check(address, 'ipv6') && !PRIVATE.check(address, 'ipv6')
    default:
      return false
  }
}

const PRIVATE = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  PRIVATE.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of [
  // Protocol assignments with Teredo, documentation, 6to4: each can lead to an IPv4 address or nowhere.
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  PRIVATE.addSubnet(network, prefix, 'ipv6')

const PUBLIC_V6 = new BlockList()
PUBLIC_V6.addSubnet('2000::', 3, 'ipv6')

function parseUrl(url: string, limits: FetchLimits): URL {
  const { allowHttp, isAllowed } = limits
  const parsed = URL.parse(url)
  const protocols = allowHttp ? ['https:', 'http:'] : ['https:']
  if (!parsed || !protocols.includes(parsed.protocol) || parsed.username || parsed.password)
    throw fault(limits, 'URL_INVALID', `not an https URL without credentials: ${shown(url)}`)
  // An address in the URL itself is never looked up.
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(host) !== 0 && !isAllowed(host)) throw privateAddress(parsed, limits, host)
  return parsed
}

function request(url: URL, limits: FetchLimits, signal: AbortSignal): Promise<IncomingMessage> {
  const get = url.protocol === 'https:' ? httpsGet : httpGet
  return new Promise((resolve, reject) => {
    get(
      url,
      {
        signal,
        lookup: checkedLookup(url, limits),
        // A connection of one's own: none that is kept open was checked for this URL.
        agent: false,
        headers: { accept: 'application/json', 'accept-encoding': 'identity' },
      },
      resolve,
    ).once('error', (error) => reject(failure(url, limits, signal, error)))
  })
}

/** Resolves a name and hands on only addresses that may be connected to. */
function checkedLookup(url: URL, limits: FetchLimits): LookupFunction {
  const { isAllowed, lookup = dnsLookup } = limits
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '')
      const refused = addresses.find(({ address }) => !isAllowed(address))
      if (refused) return callback(privateAddress(url, limits, refused.address), '')
      const [first] = addresses
      if (options.all) return callback(null, addresses)
      return callback(null, first!.address, first!.family)
    })
  }
}

async function readBody(
  response: IncomingMessage,
  url: URL,
  limits: FetchLimits,
  signal: AbortSignal,
): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength
      if (bytes > limits.maxBytes)
        throw fault(
          limits,
          'TOO_LARGE',
          `${shown(url.href)} sends more than ${limits.maxBytes} bytes`,
        )
      chunks.push(chunk)
    }
  } catch (error) {
    throw failure(url, limits, signal, error)
  } finally {
    response.destroy()
  }
  return Buffer.concat(chunks).toString('utf8')
}

function failure(url: URL, limits: FetchLimits, signal: AbortSignal, error: unknown): Error {
  if (error instanceof MultiverseError) return error
  const why = signal.aborted ? `no answer within ${limits.timeoutMs} ms` : oneLine(error)
  return unreachable(url, limits, why, error)
}

function unreachable(url: URL, limits: FetchLimits, why: string, cause?: unknown): MultiverseError {
  return fault(limits, 'UNREACHABLE', `${shown(url.href)}: ${why}`, { cause, isRetryable: true })
}

function privateAddress(url: URL, limits: FetchLimits, address: string): MultiverseError {
  return fault(
    limits,
    'PRIVATE_ADDRESS',
    `${shown(url.href)} leads to ${address}, which is not a public address`,
  )
}

function fault(
  { what = 'SPEC' }: FetchLimits,
  code: 'UNREACHABLE' | 'PRIVATE_ADDRESS' | 'TOO_LARGE' | 'URL_INVALID',
  message: string,
  options: { cause?: unknown; isRetryable?: boolean } = {},
): MultiverseError {
  return new MultiverseError(`${what}_${code}`, message, options)
}

function shown(url: string): string {
  return url.length > 200 ? `${url.slice(0, 200)}…` : url
}
