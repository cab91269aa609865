import { MultiverseError } from '../sdk/errors.ts'
import type { LinkConfig } from './provider.ts'

/** The links of one provider: which components may use it, and how. wasmCloud v1 semantics. */
export type Links = {
  /** A duplicate (same source, target and name) is ignored. Throws INVALID_ARGUMENT when the link is another's. */
  put: (link: LinkConfig) => void
  /** Idempotent. */
  remove: (link: LinkConfig) => void
  /** Whether a live link leads from the component to the provider. */
  permits: (component: string) => boolean
  clear: () => void
}

/** Keeps the links of provider `id` in memory. */
export function createLinks(id: string): Links {
  const links = new Map<string, LinkConfig>()
  return {
    put: (link) => {
      if (link.target !== id && link.source !== id)
        throw new MultiverseError(
          'INVALID_ARGUMENT',
          `link ${link.name} from ${link.source} to ${link.target} is not ${id}'s`,
        )
      const key = keyOf(link)
      if (!links.has(key)) links.set(key, link)
    },
    remove: (link) => {
      links.delete(keyOf(link))
    },
    permits: (component) =>
      [...links.values()].some((link) => link.source === component && link.target === id),
    clear: () => {
      links.clear()
    },
  }
}

function keyOf({ source, target, name }: LinkConfig): string {
  return JSON.stringify([source, target, name])
}
