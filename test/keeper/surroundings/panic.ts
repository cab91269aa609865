import { createInterface } from 'node:readline'
import { createLog } from '../../../keeper/log.ts'
import { openFolder } from '../../../keeper/store/database.ts'

// Opens a database folder, adds a row whenever it is told something, in a new file of its log if so told, and tells what came of it.

const [folder = ''] = process.argv.slice(2)
const tell = (what: string) => process.stdout.write(`${what}\n`)
const opened = await openFolder(folder, createLog('silent'), ({ code }) =>
  tell(`panic ${code}`),
).catch((error: { code: string }) => {
  tell(`closed ${error.code}`)
  return process.exit(0)
})
await opened.query('create table if not exists public.rows (n int)')
const count = async () => {
  const [row] = await opened.query<{ n: number }>('select count(*)::int as n from public.rows')
  return row!.n
}
tell(`opened ${await count()}`)

for await (const told of createInterface({ input: process.stdin })) {
  if (told === 'end') process.exit(0)
  try {
    // A log file that is begun takes 16 MB at once.
    if (told === 'switch') await opened.transaction((tx) => tx.query('select pg_switch_wal()'))
    await opened.query('insert into public.rows values (1)')
    tell(`added ${await count()}`)
  } catch (error) {
    tell(`failed ${(error as { code: string }).code}`)
  }
}
