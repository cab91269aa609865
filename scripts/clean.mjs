// Removes what can be made again: build outputs and caches. Never `.data`, `node_modules` or the Node in `.node`. Runs on
// whatever Node there is.
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const names = [
  '.node/compile-cache',
  'artifacts',
  'cache',
  'coverage',
  'generated',
  'indexer/generated',
  'indexer/.ponder',
]

for (const name of names) {
  const folder = path.join(root, name)
  if (!fs.existsSync(folder)) continue
  fs.rmSync(folder, { recursive: true, force: true })
  console.log(`removed ${name}`)
}
for (const name of fs.readdirSync(root).filter((file) => file.endsWith('.tsbuildinfo'))) {
  fs.rmSync(path.join(root, name))
  console.log(`removed ${name}`)
}
