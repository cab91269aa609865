import {
  closeSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { MultiverseError } from '../sdk/errors.ts'
import type { LinkConfig } from './provider.ts'

/** The links of one provider: which components may use it, and how. wasmCloud v1 semantics. */
export type Links = {
  /**
   * Takes up the links that an earlier process left in the provider's folder, and keeps every change there from now on.
   * Before that, links are kept in memory only.
   * @throws LINKS_CORRUPT
   */
  open: (folder: string) => void
  /**
   * A duplicate (same source, target and name) is ignored. The link is on the disk before it permits anything, unless it is not
   * to outlive this process (`isLasting` false).
   * @throws INVALID_ARGUMENT when the link is another's
   */
  put: (link: LinkConfig, isLasting?: boolean) => void
  /** Idempotent. The right ends at once, even when the disk cannot be told. */
  remove: (link: LinkConfig) => void
  /** Whether a live link lets the component use the provider. */
  permits: (component: string) => boolean
  /** The links that let the component use the provider. */
  of: (component: string) => LinkConfig[]
  /** The links that give functions of the host to the worlds of a source: a component's, or one world. */
  functionsOf: (source: string) => LinkConfig[]
  /** Ends all rights in this process; what is in the folder stays for the next. */
  clear: () => void
}

const FILE = 'links.json'

/**
 * The links of provider `id`. Changes are rare and small, so they are written at once, in one piece: a link that is
 * withdrawn can neither be used while its file is being written nor come back with a restart.
 */
export function createLinks(id: string): Links {
  const links = new Map<string, LinkConfig>()
  /** Keys of links that are kept in memory only. */
  const passing = new Set<string>()
  let folder: string | null = null
  const keep = () => {
    if (folder === null) return
    const lasting = [...links].filter(([key]) => !passing.has(key))
    write(
      folder,
      lasting.map(([, link]) => link),
    )
  }
  const from = (source: string) =>
    [...links.values()].filter((link) => link.source === source && link.target === id)
  const of = (component: string) => from(component).filter((link) => !isFunctionLink(link))
  return {
    open: (opened) => {
      for (const link of read(opened)) links.set(keyOf(link), link)
      folder = opened
    },
    put: (link, isLasting = true) => {
      if (link.target !== id && link.source !== id)
        throw new MultiverseError(
          'INVALID_ARGUMENT',
          `link ${link.name} from ${link.source} to ${link.target} is not ${id}'s`,
        )
      const key = keyOf(link)
      if (links.has(key)) return
      links.set(key, link)
      if (!isLasting) {
        passing.add(key)
        return
      }
      try {
        keep()
      } catch (error) {
        links.delete(key)
        throw error
      }
    },
    remove: (link) => {
      const key = keyOf(link)
      if (links.delete(key) && !passing.delete(key)) keep()
    },
    permits: (component) => of(component).length > 0,
    of,
    functionsOf: (source) => from(source).filter(isFunctionLink),
    clear: () => {
      links.clear()
      passing.clear()
      folder = null
    },
  }
}

/** Whether a link gives a function of the host; the others give the right to use the provider. */
export function isFunctionLink({ config }: LinkConfig): boolean {
  return config['function'] !== undefined
}

function keyOf({ source, target, name }: LinkConfig): string {
  return JSON.stringify([source, target, name])
}

function read(folder: string): LinkConfig[] {
  const path = join(folder, FILE)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  try {
    const links: unknown = JSON.parse(text)
    if (Array.isArray(links) && links.every(isLink)) return links
  } catch (cause) {
    throw new MultiverseError('LINKS_CORRUPT', `${path} is not JSON`, { cause })
  }
  throw new MultiverseError('LINKS_CORRUPT', `${path} is not a list of links`)
}

function isLink(value: unknown): value is LinkConfig {
  if (typeof value !== 'object' || value === null) return false
  const { source, target, name, config } = value as Record<string, unknown>
  return (
    [source, target, name].every((each) => typeof each === 'string') &&
    typeof config === 'object' &&
    config !== null &&
    Object.values(config).every((each) => typeof each === 'string')
  )
}

function write(folder: string, links: LinkConfig[]): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, FILE)
  const file = openSync(`${path}.unfinished`, 'w', 0o600)
  try {
    writeFileSync(file, `${JSON.stringify(links, null, 2)}\n`)
    fdatasyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(`${path}.unfinished`, path)
}
