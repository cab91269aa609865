import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { MultiverseError } from '../../sdk/errors.ts'
import { hasCode } from '../host/files.ts'

const PAGE_BYTES = 4_096
const MAGIC = 0x3152_564d
const HEAD_BYTES = 16
const RUN_BYTES = 8

// What the kernel says of a page, in the upper half of its word.
const PRESENT = 0x8000_0000
const SWAPPED = 0x4000_0000
const OF_FILE = 0x2000_0000

/** What {@link readChanges} gives of a process that has changed nothing. */
export const NO_CHANGES = Buffer.from(Uint32Array.of(MAGIC, 0, 0, 0).buffer)

/** Part of a file in a process's memory: bytes [start, end) show the file from `offset`. */
type Mapping = { start: number; end: number; offset: number }

/**
 * Reads what a process that maps a file privately has changed of it. Gives it as bytes that {@link writeChanges} takes: runs
 * of pages, each with its place in the file.
 * @param path the file, as the process opened it
 */
export function readChanges(pid: number, path: string): Buffer {
  return whileAlive(pid, () => collect(pid, path))
}

function collect(pid: number, path: string): Buffer {
  const runs = mappings(pid, path).flatMap((mapping) => changedRuns(pid, mapping))
  const pages = runs.reduce((sum, run) => sum + run.count, 0)
  const table = HEAD_BYTES + runs.length * RUN_BYTES
  const changes = Buffer.allocUnsafe(table + pages * PAGE_BYTES)
  changes.writeUInt32LE(MAGIC, 0)
  changes.writeUInt32LE(runs.length, 4)
  changes.writeUInt32LE(pages, 8)
  changes.writeUInt32LE(0, 12)
  let at = table
  withFile(`/proc/${pid}/mem`, 'r', (memory) => {
    for (const [i, { address, page, count }] of runs.entries()) {
      changes.writeUInt32LE(page, HEAD_BYTES + i * RUN_BYTES)
      changes.writeUInt32LE(count, HEAD_BYTES + i * RUN_BYTES + 4)
      const length = count * PAGE_BYTES
      const got = readSync(memory, changes, at, length, address)
      if (got !== length)
        throw new MultiverseError('PROVIDER_FAILED', `read ${got} of ${length} bytes of ${pid}`)
      at += length
    }
  })
  return changes
}

/**
 * Makes a stopped process's private mapping of a file what it was when `changes` were read. Pages that the process has
 * touched by itself, and that are no change, get the file's content back.
 */
export function writeChanges(pid: number, path: string, changes: Buffer): void {
  whileAlive(pid, () => put(pid, path, changes))
}

function put(pid: number, path: string, changes: Buffer): void {
  const mapped = mappings(pid, path)
  const address = (page: number) => {
    const offset = page * PAGE_BYTES
    const mapping = mapped.find((m) => offset >= m.offset && offset < m.offset + m.end - m.start)
    if (mapping === undefined)
      throw new MultiverseError('PROVIDER_FAILED', `process ${pid} does not map page ${page}`)
    return mapping.start + offset - mapping.offset
  }
  withFile(`/proc/${pid}/mem`, 'r+', (memory) => {
    const write = (data: Buffer, at: number, length: number, target: number) => {
      const wrote = writeSync(memory, data, at, length, target)
      if (wrote !== length)
        throw new MultiverseError('PROVIDER_FAILED', `wrote ${wrote} of ${length} bytes of ${pid}`)
    }
    for (const run of mapped.flatMap((mapping) => changedRuns(pid, mapping))) {
      const length = run.count * PAGE_BYTES
      const original = Buffer.alloc(length)
      withFile(path, 'r', (file) => readSync(file, original, 0, length, run.page * PAGE_BYTES))
      write(original, 0, length, run.address)
    }
    for (const { page, at, length } of runsOf(changes)) write(changes, at, length, address(page))
  })
}

/** The runs of pages in changes, each with where its bytes are. Throws SNAPSHOT_CORRUPT when they are none. */
function runsOf(changes: Buffer): { page: number; at: number; length: number }[] {
  if (changes.length < HEAD_BYTES || changes.readUInt32LE(0) !== MAGIC) throw misshapen()
  const count = changes.readUInt32LE(4)
  const table = HEAD_BYTES + count * RUN_BYTES
  if (changes.length !== table + changes.readUInt32LE(8) * PAGE_BYTES) throw misshapen()
  let at = table
  return Array.from({ length: count }, (_, i) => {
    const page = changes.readUInt32LE(HEAD_BYTES + i * RUN_BYTES)
    const length = changes.readUInt32LE(HEAD_BYTES + i * RUN_BYTES + 4) * PAGE_BYTES
    at += length
    if (at > changes.length) throw misshapen()
    return { page, at: at - length, length }
  })
}

function misshapen(): MultiverseError {
  return new MultiverseError('SNAPSHOT_CORRUPT', 'the memory image has a wrong form')
}

function mappings(pid: number, path: string): Mapping[] {
  const lines = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')
  const found = lines.flatMap((line) => {
    if (!line.endsWith(path)) return []
    const fields = /^([\da-f]+)-([\da-f]+) rw-p ([\da-f]+) \S+ \d+ +(.*)$/.exec(line)
    if (fields === null || fields[4] !== path) return []
    const [start, end, offset] = fields.slice(1, 4).map((text) => Number.parseInt(text, 16))
    return [{ start: start ?? 0, end: end ?? 0, offset: offset ?? 0 }]
  })
  if (found.length === 0)
    throw new MultiverseError('PROVIDER_FAILED', `process ${pid} does not map ${path} privately`)
  return found
}

/** Runs of pages that are the process's own: no longer the file's, in memory or swapped out. */
function changedRuns(
  pid: number,
  { start, end, offset }: Mapping,
): { address: number; page: number; count: number }[] {
  const count = (end - start) / PAGE_BYTES
  const words = new Uint32Array(count * 2)
  const at = (start / PAGE_BYTES) * 8
  const got = withFile(`/proc/${pid}/pagemap`, 'r', (map) =>
    readSync(map, words, 0, words.byteLength, at),
  )
  if (got !== words.byteLength)
    throw new MultiverseError('PROVIDER_FAILED', `read ${got} bytes of ${pid}'s page map`)
  const runs: { address: number; page: number; count: number }[] = []
  let run: (typeof runs)[number] | null = null
  for (let i = 0; i < count; i++) {
    const flags = words[i * 2 + 1] ?? 0
    const isOwn = (flags & (PRESENT | SWAPPED)) !== 0 && (flags & OF_FILE) === 0
    if (!isOwn) run = null
    else if (run !== null) run.count += 1
    else {
      run = { address: start + i * PAGE_BYTES, page: offset / PAGE_BYTES + i, count: 1 }
      runs.push(run)
    }
  }
  return runs
}

function whileAlive<result>(pid: number, task: () => result): result {
  try {
    return task()
  } catch (cause) {
    if (!hasCode(cause, 'ENOENT', 'ESRCH', 'EIO')) throw cause
    const text = `process ${pid} has ended`
    throw new MultiverseError('PROVIDER_FAILED', text, { cause, isRetryable: true })
  }
}

function withFile<result>(path: string, mode: string, use: (file: number) => result): result {
  const file = openSync(path, mode)
  try {
    return use(file)
  } finally {
    closeSync(file)
  }
}
