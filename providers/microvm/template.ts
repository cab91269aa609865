import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import { hashFile, hashJson, hasCode, makeFolder, prune, share, touch } from '../host/files.ts'
import { type Engine, IMAGE_FILES, type Machine } from './engine.ts'
import type { Guest } from './guest.ts'
import {
  decodeAnswer,
  encodeRequest,
  encodeSettle,
  type Language,
  type Request,
} from './protocol.ts'

/** A guest that was booted once, and in which no program has run. All machines begin as it, or as what became of it. */
export type Template = {
  /** Hash of everything in it. */
  id: string
  folder: string
  engine: string
  /** What the guest was made of. */
  guest: string
  /** Milliseconds that its cold boot took, warming up included. */
  bootMs: number
}

/** `limitMs`: after so long without a word from the guest, the boot has failed. */
export type BootOptions = { note?: (text: string) => void; limitMs: number }

type Manifest = Omit<Template, 'id' | 'folder'> & { files: Record<string, string> }

const MANIFEST = 'template.json'

/** What a program may take when nothing else is said: guests are warmed up to it. */
export const DEFAULT_MEMORY_BYTES = 67_108_864

/**
 * The template of an engine and a guest in `cacheDir`; cold booted when there is none, or when its files are not what they
 * were.
 */
export async function openTemplate(
  engine: Engine,
  guest: Guest,
  cacheDir: string,
  { note = () => {}, limitMs }: BootOptions,
): Promise<Template> {
  const folder = join(cacheDir, 'templates', hashJson([engine.name, guest.id]).slice(0, 32))
  try {
    const template = await readTemplate(folder)
    await touch(folder)
    return template
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) {
      note(`making the template again: ${String(error)}`)
      await rm(folder, { recursive: true, force: true })
    }
  }
  await makeTemplate(engine, guest, folder, { note, limitMs })
  await prune(dirname(folder))
  return readTemplate(folder)
}

/** Cold boots a guest into a new folder. */
export async function makeTemplate(
  engine: Engine,
  guest: Guest,
  folder: string,
  { note = () => {}, limitMs }: BootOptions,
): Promise<void> {
  note(`cold booting the guest (${engine.name})`)
  const begun = performance.now()
  await makeFolder(folder, async (unfinished) => {
    await engine.boot(guest.files, unfinished, limitMs, warmUp)
    const bootMs = Math.round(performance.now() - begun)
    const files: Manifest['files'] = {}
    for (const name of [...IMAGE_FILES, ...engine.templateFiles])
      files[name] = await hashFile(join(unfinished, name))
    const manifest: Manifest = { engine: engine.name, guest: guest.id, bootMs, files }
    await writeFile(join(unfinished, MANIFEST), JSON.stringify(manifest))
  })
  note(`cold boot and warming up took ${Math.round(performance.now() - begun)} ms`)
}

/**
 * Gives a data folder a hold of a template, so that its snapshots outlive the cache. Where files cannot be shared they
 * are copied.
 */
export async function holdTemplate(template: Template, dataDir: string): Promise<Template> {
  const folder = join(dataDir, 'templates', template.id)
  await makeFolder(folder, async (unfinished) => {
    // What booted it may have left its sockets there.
    const entries = await readdir(template.folder, { withFileTypes: true })
    for (const { name } of entries.filter((entry) => entry.isFile()))
      await share(join(template.folder, name), join(unfinished, name))
  })
  return { ...template, folder }
}

/** Lets go of templates that are not among `ids`. */
export async function dropTemplates(dataDir: string, ids: ReadonlySet<string>): Promise<void> {
  const home = join(dataDir, 'templates')
  await mkdir(home, { recursive: true, mode: 0o700 })
  for (const name of await readdir(home))
    if (!ids.has(name)) await rm(join(home, name), { recursive: true, force: true })
}

/**
 * Reads a template and checks every byte of it.
 * @throws SNAPSHOT_CORRUPT naming the file; the file system's ENOENT when there is none
 */
export async function readTemplate(folder: string): Promise<Template> {
  const text = await readFile(join(folder, MANIFEST), 'utf8')
  const { files, ...about } = JSON.parse(text) as Manifest
  await Promise.all(
    Object.entries(files).map(async ([name, expected]) => {
      const found = await hashFile(join(folder, name)).catch(() => 'none')
      if (found !== expected)
        throw new MultiverseError(
          'SNAPSHOT_CORRUPT',
          `template file ${join(folder, name)} has hash ${found}, not ${expected}`,
        )
    }),
  )
  return { ...about, id: hashJson([about, files]), folder }
}

/**
 * Has the guest do once what it will be asked to do, so that a machine made from it touches as few new pages as possible,
 * and notes what its interpreters take by themselves.
 */
async function warmUp(machine: Machine): Promise<void> {
  const words = Buffer.alloc(16, 1)
  const programs: [Language, string][] = [
    ['python', 'print(1); 1 + 1'],
    ['javascript', 'console.log(1); 1 + 1'],
    ['sh', 'echo 1'],
  ]
  for (const round of [0, 1, 2]) {
    for (const [language, code] of programs) {
      const seed = round === 1 ? words : null
      const entropy = round === 1 ? new Uint8Array(32) : null
      await ask(machine, { language, code, seed, entropy })
    }
    if (round === 1) await machine.ask(encodeSettle(Date.now()))
  }
  // What the kernel has put off is done by then, once and for all machines.
  await ask(machine, { language: 'sh', code: 'sleep 3', seed: null, entropy: null })
}

async function ask(
  machine: Machine,
  program: Pick<Request, 'language' | 'code' | 'seed' | 'entropy'>,
): Promise<void> {
  const about = {
    memoryBytes: DEFAULT_MEMORY_BYTES,
    nowMs: Date.now(),
    isStill: false,
    isHeard: false,
  }
  const answer = decodeAnswer(await machine.ask(encodeRequest({ ...program, ...about })))
  if (answer.kind === 'failed')
    throw new MultiverseError(
      'PROVIDER_FAILED',
      `the guest's ${program.language}: ${answer.message}`,
    )
}
