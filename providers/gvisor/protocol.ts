import type { Hex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'

/** What worlds speak. */
export type Language = 'python' | 'sh'

/** What the host asks a world's first process to do, one at a time. */
export type Request =
  | { op: 'ping' }
  | { op: 'seed'; seed: bigint }
  | { op: 'run'; language: Language; code: string; memoryBytes: number }

/** The state after a request: its root, and whether there may be more to it than the root tells. */
export type State = { root: Hex; isOpaque: boolean }

/** How a request ended. After `lost` the world cannot go on. */
export type Answer =
  | { kind: 'pong' }
  | ({ kind: 'done'; json: string } & State)
  | ({ kind: 'failed' } & Failure & State)
  | { kind: 'lost'; message: string }

export type Failure = { code: FailureCode; name: string; message: string; stack: string }

/** What was written while a request was under way. */
export type Output = { kind: 'output'; stream: 'stdout' | 'stderr'; bytes: Buffer }

export type Frame = { kind: 'ready' } | Output | { kind: 'answer'; answer: Answer }

const FAILURE_CODES = ['PROGRAM_ERROR', 'OUT_OF_MEMORY', 'RESULT_INVALID'] as const
type FailureCode = (typeof FAILURE_CODES)[number]

/** A line that introduces bytes is no longer than this. */
const MAX_LINE_BYTES = 256
/** No world has more to say at once. */
const MAX_PAYLOAD_BYTES = 8_388_608
const NEWLINE = 10

/**
 * The language that a program is written in: the one that its first line names, as in `#!/bin/sh`, or else Python; null
 * when that is none of a world's.
 */
export function languageOf(code: string): Language | null {
  const [, program = '', argument = ''] = /^#!\s*(\S+)(?:[ \t]+(\S+))?/.exec(code) ?? []
  const name = program.endsWith('/env') ? argument : program
  const language = name.slice(name.lastIndexOf('/') + 1)
  if (language === 'sh' || language === 'dash') return 'sh'
  return !code.startsWith('#!') || /^python(3(\.\d+)?)?$/.test(language) ? 'python' : null
}

/** A request in the words of `guest/supervisor.py`. */
export function encodeRequest(request: Request): Buffer {
  if (request.op === 'ping') return message('ping', '')
  if (request.op === 'seed') return message(`seed ${request.seed}`, '')
  return message(`run ${request.language} ${request.memoryBytes}`, request.code)
}

/**
 * Makes a function that takes what a world says as it comes, and gives the frames that are whole. Nothing about them is
 * taken on trust: it throws PROVIDER_FAILED for what makes no sense, and is not to be used after that.
 */
export function createReader(): (chunk: Buffer) => Frame[] {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const frames: Frame[] = []
    for (;;) {
      const end = rest.indexOf(NEWLINE)
      if (end < 0 || end > MAX_LINE_BYTES) {
        if (rest.length > MAX_LINE_BYTES) throw nonsense(rest.toString())
        return frames
      }
      const line = rest.toString('latin1', 0, end)
      const length = Number(/^[a-z]+(?: \S+)* (\d{1,9})$/.exec(line)?.[1] ?? Number.NaN)
      if (!(length <= MAX_PAYLOAD_BYTES)) throw nonsense(line)
      if (rest.length < end + 1 + length) return frames
      frames.push(readFrame(line, rest.subarray(end + 1, end + 1 + length)))
      rest = rest.subarray(end + 1 + length)
    }
  }
}

function readFrame(line: string, payload: Buffer): Frame {
  const [kind = '', ...words] = line.split(' ').slice(0, -1)
  switch (kind) {
    case 'ready':
      return { kind: 'ready' }
    case 'stdout':
    case 'stderr':
      return { kind: 'output', stream: kind, bytes: payload }
    case 'pong':
      return answer({ kind: 'pong' })
    case 'lost':
      return answer({ kind: 'lost', message: payload.toString() })
    case 'python':
      return answer({ ...readPython(payload.toString()), ...readState(line, words) })
    case 'sh':
      return answer({
        ...readShell(words[0], payload.toString()),
        ...readState(line, words.slice(1)),
      })
    default:
      throw nonsense(line)
  }
}

function readState(line: string, [root, opacity]: readonly string[]): State {
  if (root === undefined || !/^[0-9a-f]{64}$/.test(root)) throw nonsense(line)
  return { root: `0x${root}`, isOpaque: opacity !== 'whole' }
}

type Unplaced = { kind: 'done'; json: string } | ({ kind: 'failed' } & Failure)

/** What an interpreter says is a program's word. */
function readPython(text: string): Unplaced {
  if (text.startsWith('done')) return { kind: 'done', json: text.slice(4) }
  if (!text.startsWith('failed')) throw nonsense(text)
  const told = readObject(text.slice(6))
  const code = FAILURE_CODES.find((each) => each === told['code'])
  const { name, message, stack } = told
  if (code === undefined || typeof name !== 'string' || typeof message !== 'string')
    throw nonsense(text)
  return { kind: 'failed', code, name, message, stack: typeof stack === 'string' ? stack : '' }
}

function readShell(status: string | undefined, json: string): Unplaced {
  if (status === '0') return { kind: 'done', json: json.trim() === '' ? 'null' : json }
  const number = Number(status)
  const message = number > 0 ? `exited with ${number}` : `was ended by signal ${-number}`
  return { kind: 'failed', code: 'PROGRAM_ERROR', name: 'sh', message, stack: '' }
}

function readObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Told below.
  }
  throw nonsense(text)
}

function answer(content: Answer): Frame {
  return { kind: 'answer', answer: content }
}

function message(words: string, payload: string): Buffer {
  const bytes = Buffer.from(payload)
  return Buffer.concat([Buffer.from(`${words} ${bytes.length}\n`), bytes])
}

function nonsense(text: string): MultiverseError {
  const told = JSON.stringify(text.slice(0, 80))
  return new MultiverseError('PROVIDER_FAILED', `a world answers nonsense: ${told}`)
}
