import { loadPglite } from './pglite.ts'

// What ponder changes by the dozen it writes to a temporary table first, which has the name of the table it is for, and which it
// empties and leaves. On PGlite there is one session for all: from then on whoever asks for the table by its name alone, as
// everybody does over HTTP, would be given the empty one. So here those temporary tables have names of their own. These are the
// four statements of ponder 0.16.10 that name one (`flush` in its indexing cache); `"schema"."table"` is the table itself.

const STATEMENTS = [
  /^\s*CREATE TEMP TABLE IF NOT EXISTS "(?=\w+"\s+AS SELECT)/,
  /^COPY "(?=\w+" FROM '\/dev\/blob')/,
  /^\s*UPDATE "\w+"\."\w+" as target[^]*\bFROM "(?=\w+" source\s+WHERE)/,
  /^TRUNCATE TABLE "(?=\w+"$)/,
]

/** A statement of ponder's with a name of its own for the temporary table it speaks of; any other as it is. */
function unshadowed(statement: string): string {
  const form = STATEMENTS.find((each) => each.test(statement))
  return form === undefined
    ? statement
    : statement.replace(form, (beforeName) => `${beforeName}_flush_`)
}

/** Has PGlite databases of this process, ponder's own, rename what ponder's statements would hide tables with. */
export async function nameShadows(): Promise<void> {
  const { PGlite } = await loadPglite()
  const { query } = PGlite.prototype
  PGlite.prototype.query = function <T>(
    statement: string,
    params?: unknown[],
    options?: { blob: Blob },
  ) {
    return (query<T>).call(this, unshadowed(statement), params, options)
  }
}
