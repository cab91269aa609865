import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

// ponder has vite-node run the files of this folder, and vite-node 1 takes every package with a folder `esm` for one that Node
// cannot load: it would transform and run ponder itself and all of its GraphQL a second time, which is a quarter of what a start
// of ponder costs. What is installed, Node loads. Should vite-node ask another method one day, a start takes longer and that is all.

/** As much of vite-node's server as is used here. */
type Server = { shouldExternalize: (this: Server, id: string) => Promise<string | false> }
type ServerClass = { new (vite: object): Server; prototype: Server }

const fromPonder = createRequire(import.meta.resolve('ponder'))
const folderOfCode = dirname(fromPonder.resolve('vite-node/server'))

/** vite-node's server as ponder has it: the same class in the same process. */
export async function loadViteNode(): Promise<{ ViteNodeServer: ServerClass }> {
  const url = pathToFileURL(join(folderOfCode, 'server.mjs')).href
  return (await import(url)) as { ViteNodeServer: ServerClass }
}

/** Whether this is a file of an installed package, such as Node loads by itself. */
function isInstalled(id: string): boolean {
  return /\/node_modules\/.*\.[cm]?js$/.test(id)
}

/** Has vite-node leave to Node what is installed: in this process, which is to be ponder's. */
export async function loadInstalledOnce(): Promise<void> {
  const { ViteNodeServer } = await loadViteNode()
  const { shouldExternalize } = ViteNodeServer.prototype
  ViteNodeServer.prototype.shouldExternalize = function (id) {
    return isInstalled(id) ? Promise.resolve(id) : shouldExternalize.call(this, id)
  }
}
