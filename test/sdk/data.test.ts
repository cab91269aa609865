import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dataPaths, readDeployment } from '../../sdk/node/data.ts'
import { DATA_VERSION, MARKER, upgradeDataFolder } from '../../sdk/node/version.ts'

const deployment = {
  version: 1,
  chainId: 31_337,
  addresses: { multiverse: `0x${'11'.repeat(20)}`, worlds: `0x${'22'.repeat(20)}` },
  startBlock: 1,
  startBlockHash: `0x${'33'.repeat(32)}`,
}

let dataDir: string
const marker = () => readFile(join(dataDir, MARKER), 'utf8')
const mark = (version: number) => writeFile(join(dataDir, MARKER), JSON.stringify({ version }))

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'multiverse-data-'))
})

afterEach(async () => {
  await rm(dataDir, { recursive: true, force: true })
})

test.each([0, 1])(
  'a folder of version %i is upgraded step by step, and only once',
  async (from) => {
    await writeFile(dataPaths(dataDir).deployment, JSON.stringify(deployment))
    await mkdir(join(dataDir, 'ignition', 'journal'), { recursive: true })
    if (from > 0) await mark(from)
    expect(await readDeployment(dataDir)).toEqual(deployment)
    expect(JSON.parse(await marker())).toEqual({ version: DATA_VERSION })
    expect((await readdir(dataDir)).toSorted()).toEqual(['deployment.json', MARKER])
    // At the version it has, nothing is touched any more.
    await mkdir(join(dataDir, 'ignition'))
    await readDeployment(dataDir)
    expect(await readdir(dataDir)).toContain('ignition')
  },
)

test('several processes at once upgrade it once', async () => {
  await mkdir(join(dataDir, 'ignition'))
  await Promise.all(Array.from({ length: 8 }, () => upgradeDataFolder(dataDir)))
  expect(await readdir(dataDir)).toEqual([MARKER])
})

test('a folder of a later version is refused, and left as it is', async () => {
  await writeFile(dataPaths(dataDir).deployment, JSON.stringify(deployment))
  await mark(DATA_VERSION + 1)
  await expect(readDeployment(dataDir)).rejects.toMatchObject({
    code: 'DATA_TOO_NEW',
    message: `${dataDir} has version ${DATA_VERSION + 1}, this program understands up to ${DATA_VERSION}: use the newer program`,
  })
  expect(JSON.parse(await marker())).toEqual({ version: DATA_VERSION + 1 })
})

test.each(['{"version":"2"}', 'nonsense', '{}'])('a marker of %s is refused', async (text) => {
  await writeFile(dataPaths(dataDir).deployment, JSON.stringify(deployment))
  await writeFile(join(dataDir, MARKER), text)
  await expect(readDeployment(dataDir)).rejects.toMatchObject({ code: 'DATA_INVALID' })
})

test('a folder without a deployment is not made a data folder by looking into it', async () => {
  await expect(readDeployment(dataDir)).rejects.toMatchObject({ code: 'NO_DEPLOYMENT' })
  expect(await readdir(dataDir)).toEqual([])
})
