// The indexer's SQL over HTTP, as ponder serves it at /sql. The client that ponder offers brings all of drizzle-orm along, which
// every start of the analytics and of the launcher would pay for with half of what it takes, for statements written by hand.

export type AskIndexer = <T>(statement: string, params?: readonly string[]) => Promise<T[]>

/**
 * Gives a function that asks one statement, in which `$1` stands for the first parameter, and gives its rows: columns under their
 * own names, as ponder's database has them in JSON.
 * @param url Where the indexer is.
 * @throws TypeError when nobody answers, DOMException after `timeoutMs`, Error with the indexer's words when it refuses
 */
export function createAsk(url: string, timeoutMs = 30_000): AskIndexer {
  return async <T>(statement: string, params: readonly string[] = []) => {
    const address = new URL('sql/db', url)
    // The envelope is superjson's, for values that JSON knows by itself.
    const query = { json: { sql: statement, params } }
    address.searchParams.set('sql', JSON.stringify(query))
    const response = await fetch(address, { signal: AbortSignal.timeout(timeoutMs) })
    if (!response.ok) throw new Error(await response.text())
    return ((await response.json()) as { rows: T[] }).rows
  }
}
