import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { EXIT, EXIT_BY_CODE } from '../../cli/errors.ts'
import { KEEPER_EXIT_BY_CODE } from '../../keeper/exits.ts'

// docs/operations.md says of every code what it exits with, and says nothing else.

/** The rows of the table below a line of the document: the codes by what they exit with. */
async function documented(heading: string): Promise<Map<number, string[]>> {
  const text = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const [, below = ''] = text.split(heading)
  const rows = below.matchAll(/^\| (\d+) \| .* \|(.*)\|$/gm)
  const found = new Map<number, string[]>()
  for (const [, exit, codes = ''] of rows) {
    if (found.has(Number(exit))) break
    found.set(
      Number(exit),
      [...codes.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code!),
    )
  }
  return found
}

function grouped(byCode: Record<string, number>, exit: number): string[] {
  return Object.keys(byCode)
    .filter((code) => byCode[code] === exit)
    .toSorted()
}

test('every exit code of the command is documented with its codes', async () => {
  const rows = await documented('`multiverse` (`cli/errors.ts`):')
  expect([...rows.keys()]).toEqual(Object.values(EXIT))
  for (const exit of Object.values(EXIT).filter((exit) => exit > 1))
    expect(rows.get(exit)?.toSorted()).toEqual(grouped(EXIT_BY_CODE, exit))
})

test("every exit code of the keeper's is documented with its codes", async () => {
  const rows = await documented('The keeper (`keeper/exits.ts`), for a supervisor')
  const exits = [...new Set(Object.values(KEEPER_EXIT_BY_CODE))].toSorted((a, b) => a - b)
  expect([...rows.keys()]).toEqual([0, 1, ...exits])
  for (const exit of exits)
    expect(rows.get(exit)?.toSorted()).toEqual(grouped(KEEPER_EXIT_BY_CODE, exit))
  for (const code of rows.get(1) ?? []) expect(KEEPER_EXIT_BY_CODE).not.toHaveProperty(code)
})
