import { fstat, read } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { MultiverseError, oneLine } from '../../errors.ts'
import type { Prompt } from './prompt.ts'

/** Where a passphrase may come from, in the order they are looked at. None of them is an argument of the command. */
export type PassphraseSources = {
  /** A file descriptor to read it from. */
  fd: number | undefined
  /** An environment variable that holds it. */
  variable: { name: string; value: string | undefined }
  /** Opens a prompt on the terminal; null where there is none. */
  openPrompt: () => Prompt | null
  /** What to say where there is none of these. */
  hint: string
}

/** Longer than anybody's passphrase or keystore file. */
const MAX_BYTES = 64 * 1024
/** So long a pipe that does not block may stay empty, milliseconds: somebody may be typing at its other end. */
const PATIENCE_MS = 60_000

/**
 * The passphrase that opens `what`.
 * @throws NO_PASSPHRASE, PASSPHRASE_UNREADABLE, INTERRUPTED
 */
export function readPassphrase(sources: PassphraseSources, what: string): Promise<string> {
  return fromSources(sources, (prompt) => prompt.ask(`Passphrase of ${what}: `))
}

/**
 * A passphrase for a new wallet: typed twice at a prompt, or taken from where it is given.
 * @throws NO_PASSPHRASE, PASSPHRASE_MISMATCH, PASSPHRASE_EMPTY, PASSPHRASE_UNREADABLE, INTERRUPTED
 */
export async function readNewPassphrase(sources: PassphraseSources, what: string): Promise<string> {
  const passphrase = await fromSources(sources, async (prompt) => {
    const first = await prompt.ask(`New passphrase of ${what}: `)
    if (first !== '' && (await prompt.ask('The same once more: ')) !== first)
      throw new MultiverseError('PASSPHRASE_MISMATCH', 'the two passphrases differ: try again')
    return first
  })
  if (passphrase === '')
    throw new MultiverseError('PASSPHRASE_EMPTY', 'a new wallet needs a passphrase')
  return passphrase
}

async function fromSources(
  { fd, variable, openPrompt, hint }: PassphraseSources,
  ask: (prompt: Prompt) => Promise<string>,
): Promise<string> {
  if (fd !== undefined) return withoutLineEnd(await readDescriptor(fd))
  if (variable.value !== undefined && variable.value !== '') return variable.value
  const prompt = openPrompt()
  if (prompt === null)
    throw new MultiverseError('NO_PASSPHRASE', `no passphrase and no terminal to ask: ${hint}`)
  try {
    return await ask(prompt)
  } finally {
    prompt.close()
  }
}

const readAsync = promisify(read)
const fstatAsync = promisify(fstat)

/** All text of a file descriptor that was handed to this process. @throws PASSPHRASE_UNREADABLE */
export async function readDescriptor(fd: number): Promise<string> {
  await assertReadable(fd)
  const chunks: Buffer[] = []
  let size = 0
  for (;;) {
    const buffer = Buffer.alloc(4096)
    const bytes = await readSome(fd, buffer)
    if (bytes === 0) return Buffer.concat(chunks).toString('utf8')
    chunks.push(buffer.subarray(0, bytes))
    size += bytes
    if (size > MAX_BYTES) throw unreadable(fd, `it holds more than ${MAX_BYTES} bytes`)
  }
}

async function readSome(fd: number, buffer: Buffer): Promise<number> {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    try {
      return (await readAsync(fd, buffer, 0, buffer.length, null)).bytesRead
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EOF') return 0
      // A pipe that does not block has nothing yet.
      if (code !== 'EAGAIN') throw unreadable(fd, oneLine(error))
      if (Date.now() > deadline) throw unreadable(fd, 'nothing came')
      await sleep(10)
    }
  }
}

/** Reading what is no file or pipe, such as what Node itself holds under a number that was not handed over, may never end. */
async function assertReadable(fd: number): Promise<void> {
  let stats
  try {
    stats = await fstatAsync(fd)
  } catch (error) {
    throw unreadable(fd, oneLine(error))
  }
  if (!stats.isFile() && !stats.isFIFO() && !stats.isSocket() && !stats.isCharacterDevice())
    throw unreadable(fd, 'it is no file, pipe or terminal')
}

function unreadable(fd: number, why: string): MultiverseError {
  return new MultiverseError(
    'PASSPHRASE_UNREADABLE',
    `file descriptor ${fd} cannot be read: ${why}`,
  )
}

function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '')
}
