import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { loadInstalledOnce, loadViteNode } from '../../indexer/modules.ts'

// On the vite-node that ponder brings.

test("ponder's own files are Node's to load, once; those of the indexer are not", async () => {
  const { ViteNodeServer } = await loadViteNode()
  const itself = ViteNodeServer.prototype.shouldExternalize
  const asked = (file: string) =>
    new ViteNodeServer({ config: { root: '/', cacheDir: '/.vite' } }).shouldExternalize(file)
  const ponder = fileURLToPath(import.meta.resolve('ponder'))
  const schema = fileURLToPath(new URL('../../indexer/ponder.schema.ts', import.meta.url))
  try {
    // Once this is no longer so, modules.ts is of no more use.
    expect(await asked(ponder)).toBe(false)
    await loadInstalledOnce()
    expect(await asked(ponder)).toBe(ponder)
    expect(await asked(schema)).toBe(false)
  } finally {
    ViteNodeServer.prototype.shouldExternalize = itself
  }
})
