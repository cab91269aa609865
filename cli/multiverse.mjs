#!/usr/bin/env node
// The `multiverse` command under any Node: the bootstrap sets the clone up where needed and runs it under the right one.
process.argv.splice(2, 0, 'cli/main.ts')
await import('../scripts/bootstrap.mjs')
