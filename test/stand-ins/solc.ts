// The Solidity compiler as a process: standard JSON in, standard JSON out. It takes seconds and would block a server.
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'

type Solc = { version: () => string; compile: (input: string) => string }

const solc = createRequire(import.meta.url)('solc') as Solc
const input = await text(process.stdin)
process.stdout.write(JSON.stringify({ version: solc.version(), output: solc.compile(input) }))
