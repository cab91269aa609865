/**
 * The value that a JSON pointer (RFC 6901) names in a document; undefined when there is none, or the pointer is none. Only what
 * the document itself holds is found, never what every object inherits.
 */
export function valueAt(document: unknown, pointer: string): unknown {
  if (pointer === '') return document
  if (!pointer.startsWith('/')) return undefined
  let value = document
  for (const escaped of pointer.slice(1).split('/')) {
    if (/~(?![01])/.test(escaped)) return undefined
    const name = escaped.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof value !== 'object' || value === null) return undefined
    if (Array.isArray(value) && !/^(0|[1-9]\d*)$/.test(name)) return undefined
    if (!Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}
