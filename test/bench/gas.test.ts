import { readFile } from 'node:fs/promises'
import { artifacts } from 'hardhat'
import { expect, test } from 'vitest'
import { measureLedgerGas } from '../../bench/gas.ts'

const snapshot = JSON.parse(
  await readFile(new URL('../../bench/gas.snapshot.json', import.meta.url), 'utf8'),
) as Record<string, number>

test('no operation costs over 1 % more than its committed snapshot', async () => {
  const rows = await measureLedgerGas()
  expect(rows.map((row) => row.name)).toEqual(Object.keys(snapshot))
  expect(rows.filter(({ name, value }) => value > snapshot[name]! * 1.01)).toEqual([])
})

test.each(['Multiverse', 'Worlds'])('%s fits the limit on code size', async (name) => {
  const { deployedBytecode } = await artifacts.readArtifact(name)
  expect((deployedBytecode.length - 2) / 2).toBeLessThan(24_576)
})
