import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { oneLine } from '../sdk/errors.ts'
import { type Bench, report, table } from './harness.ts'

// `npm run bench -- NAME [--json] [--check] [arguments]`. A bench is a file in `bench/suites/` exporting `bench`.

const folder = fileURLToPath(new URL('suites/', import.meta.url))
const names = (await readdir(folder))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -3))

const [name, ...rest] = process.argv.slice(2)
if (name === undefined || !names.includes(name)) {
  console.error(
    `usage: npm run bench -- NAME [--json] [--check]; NAME is one of: ${names.join(', ')}`,
  )
  process.exit(2)
}

const flags = new Set(['--json', '--check'])
const { bench } = (await import(new URL(`suites/${name}.ts`, import.meta.url).href)) as {
  bench: Bench
}
try {
  const found = await bench.run({
    args: rest.filter((each) => !flags.has(each)),
    note: (text) => void process.stderr.write(`${text}\n`),
  })
  const { rows, above, skipped } = Array.isArray(found) ? { rows: found } : found
  const result = report(bench.name, rows, skipped)
  if (rest.includes('--json')) console.log(JSON.stringify(result))
  else console.log(above === undefined ? table(result) : `${above}\n\n${table(result)}`)
  process.exitCode = rest.includes('--check') && !result.ok ? 1 : 0
} catch (error) {
  console.error(`error BENCH_FAILED: ${bench.name}: ${oneLine(error)}`)
  process.exitCode = 1
} finally {
  // Whoever started this one holds a channel to it, which a bench may have begun to listen to: it is no work that is left.
  process.channel?.unref()
}
