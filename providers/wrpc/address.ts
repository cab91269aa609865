import { MultiverseError } from '../../sdk/errors.ts'

/** Where a provider is served: a unix socket, or a TCP port (0 lets the system choose one). */
export type Address = { path: string } | { host: string; port: number }

/**
 * Reads `unix:/path/of/socket` and `tcp:127.0.0.1:9000`.
 * @throws INVALID_ARGUMENT
 */
export function parseAddress(text: string): Address {
  const [, path] = /^unix:(.+)$/.exec(text) ?? []
  if (path !== undefined) return { path }
  const [, host, port] = /^tcp:(.+):(\d{1,5})$/.exec(text) ?? []
  if (host !== undefined && Number(port) < 65_536) return { host, port: Number(port) }
  throw new MultiverseError('INVALID_ARGUMENT', `${text} is no address: unix:PATH or tcp:HOST:PORT`)
}

export function formatAddress(address: Address): string {
  return 'path' in address ? `unix:${address.path}` : `tcp:${address.host}:${address.port}`
}
