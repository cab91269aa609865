import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

// The house's import rules: which folder may use which, and which packages. Keeper and indexer never meet in code.

const root = fileURLToPath(new URL('..', import.meta.url))

/** A module's own folder is always allowed; so is `node:`. `packages` lists npm packages, or `any`. */
const rules: Record<string, { folders: string[]; packages: string[] | 'any' }> = {
  sdk: { folders: [], packages: ['viem', 'zod', 'ox'] },
  providers: {
    folders: ['sdk'],
    packages: ['viem', 'zod', '@jitl/quickjs-wasmfile-release-sync'],
  },
  keeper: { folders: ['sdk', 'providers'], packages: 'any' },
  indexer: { folders: ['sdk'], packages: 'any' },
  deploy: { folders: ['sdk'], packages: 'any' },
  cli: { folders: ['sdk', 'providers', 'deploy'], packages: 'any' },
}

/** Only `sdk/node` may use Node itself: the rest of the SDK also runs in browsers. */
const browserSafe = (file: string) => file.startsWith('sdk/') && !file.startsWith('sdk/node/')

async function sources(folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && /\.(ts|mts|tsx)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((file) => !/(^|\/)(generated|\.ponder|node_modules)\//.test(file))
}

function imports(text: string): string[] {
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s+['"]([^'"]+)['"]/g,
  )
  return [...found].map((match) => (match[1] ?? match[2] ?? match[3])!)
}

const packageOf = (specifier: string) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

/** What one file imports that its folder must not. */
function violations(file: string, text: string): string[] {
  const home = file.split('/')[0]!
  const rule = rules[home]!
  const found: string[] = []
  for (const specifier of imports(text)) {
    if (specifier.startsWith('node:')) {
      if (browserSafe(file)) found.push(`${file} uses ${specifier}`)
    } else if (specifier.startsWith('.')) {
      const target = relative(root, resolve(join(root, dirname(file)), specifier))
      const folder = target.split('/')[0]!
      if (folder !== home && !rule.folders.includes(folder)) found.push(`${file} imports ${target}`)
      if (browserSafe(file) && target.startsWith('sdk/node/'))
        found.push(`${file} imports ${target}`)
    } else if (rule.packages !== 'any' && !rule.packages.includes(packageOf(specifier))) {
      found.push(`${file} uses the package ${packageOf(specifier)}`)
    }
  }
  return found
}

for (const folder of Object.keys(rules))
  test(`${folder}/ imports only what the design allows`, async () => {
    const files = await sources(folder)
    expect(files.length).toBeGreaterThan(0)
    const found = await Promise.all(
      files.map(async (file) => violations(file, await readFile(join(root, file), 'utf8'))),
    )
    expect(found.flat()).toEqual([])
  })

test('the rules catch what they forbid', () => {
  const text = [
    "import { a } from '../indexer/a.ts'",
    "export * from 'left-pad'",
    "import 'node:fs'",
    "const c = await import('../sdk/node/c.ts')",
  ].join('\n')
  expect(violations('keeper/x.ts', text)).toEqual(['keeper/x.ts imports indexer/a.ts'])
  expect(violations('sdk/x.ts', text)).toEqual([
    'sdk/x.ts imports indexer/a.ts',
    'sdk/x.ts uses the package left-pad',
    'sdk/x.ts uses node:fs',
    'sdk/x.ts imports sdk/node/c.ts',
  ])
})

test('contracts import only contracts and OpenZeppelin', async () => {
  const entries = await readdir(join(root, 'contracts'), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.sol'))
  expect(files.length).toBeGreaterThan(0)
  for (const entry of files) {
    const text = await readFile(join(entry.parentPath, entry.name), 'utf8')
    for (const [, specifier] of text.matchAll(/\bimport\b[^"]*"([^"]+)"/g))
      expect(specifier).toMatch(/^(\.{1,2}\/|@openzeppelin\/contracts\/)/)
  }
})
