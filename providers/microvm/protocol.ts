import { MultiverseError } from '../../sdk/errors.ts'
import type { Output } from '../provider.ts'
import type { Lines } from './lines.ts'

/** What worlds speak. A program's first line may name its language (`#!/bin/sh`, `#!/usr/bin/env python3`). */
export type Language = 'python' | 'javascript' | 'sh'

/** What the host asks of a guest: to run a program, after its clock and its random sources have been set. */
export type Request = {
  language: Language
  code: string
  /** What the program may take beyond its interpreter's own memory, bytes. */
  memoryBytes: number
  /** Wall clock, milliseconds. */
  nowMs: number
  /** In a replayable world the interpreter's clock stands still at `nowMs`. */
  isStill: boolean
  /** Seeds the interpreter's random sources: 16 bytes. */
  seed: Buffer | null
  /** Goes into the kernel's random pool, up to 32 bytes. */
  entropy: Uint8Array | null
  /** Whether the guest is to tell what the program writes line by line, and not only in its answer. */
  isHeard: boolean
}

const FAILURES = ['PROGRAM_ERROR', 'OUT_OF_MEMORY', 'RESULT_INVALID'] as const

/** What a guest makes of a program. */
export type Answer = { stdout: string; stderr: string } & (
  | { kind: 'done'; json: string }
  | { kind: 'failed'; code: (typeof FAILURES)[number]; message: string; stack: string }
)

const HEAD_BYTES = 64
const NUMBERS: Record<Language | 'settle', number> = { python: 0, javascript: 1, sh: 2, settle: 3 }

/** The bytes of a request, as the guest's agent reads them. */
export function encodeRequest(request: Request): Buffer {
  const { code, seed, isStill, nowMs, memoryBytes, isHeard } = request
  const still = isStill ? nowMs : null
  const words = seed && [0, 4, 8, 12].map((at) => seed.readUInt32LE(at))
  const text = JSON.stringify({ code, seed: words, still, memoryBytes, heard: isHeard })
  // One of the readers takes a byte for a character.
  const ascii = text.replaceAll(
    /[\u0080-\uFFFF]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return withHead(NUMBERS[request.language], request, `${ascii}\n`)
}

/** Tells a guest that whatever its interpreters hold by now is not a program's. */
export function encodeSettle(nowMs: number): Buffer {
  return withHead(NUMBERS.settle, { nowMs, memoryBytes: 0, entropy: null }, '')
}

function withHead(
  number: number,
  { nowMs, memoryBytes, entropy }: Pick<Request, 'nowMs' | 'memoryBytes' | 'entropy'>,
  text: string,
): Buffer {
  const body = Buffer.from(text, 'latin1')
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt8(number, 0)
  head.writeUInt8(entropy?.length ?? 0, 1)
  head.writeDoubleLE(nowMs / 1_000, 8)
  head.writeBigUInt64LE(BigInt(Math.ceil(memoryBytes)), 16)
  head.writeUInt32LE(body.length, 24)
  if (entropy !== null) head.set(entropy, 32)
  return Buffer.concat([head, body])
}

/**
 * Reads what a guest says. Nothing about it is taken on trust.
 * @throws PROVIDER_FAILED
 */
export function decodeAnswer(message: Record<string, unknown>): Answer {
  const { json, error, stdout = '', stderr = '' } = message
  if (typeof stdout !== 'string' || typeof stderr !== 'string') throw nonsense(message)
  if (typeof json === 'string') return { kind: 'done', json, stdout, stderr }
  if (typeof error !== 'object' || error === null) throw nonsense(message)
  const { code, message: text, stack = '' } = error as Record<string, unknown>
  const known = FAILURES.find((each) => each === code)
  if (known === undefined || typeof text !== 'string' || typeof stack !== 'string')
    throw nonsense(message)
  return { kind: 'failed', code: known, message: text, stack, stdout, stderr }
}

/** What a guest says next that is no output of its program; that is handed on. */
export async function nextAnswer(
  agent: Lines,
  hear: (output: Output) => void,
): Promise<Record<string, unknown>> {
  for (;;) {
    const message = await agent.next()
    const { stream, text } = message
    if (stream === undefined) return message
    if ((stream !== 'stdout' && stream !== 'stderr') || typeof text !== 'string')
      throw nonsense(message)
    hear({ stream, text })
  }
}

/**
 * The language that a program is written in: what its first line names, as in `#!/bin/sh`, or else `otherwise`; null when
 * that is none of a world's.
 */
export function languageOf(code: string, otherwise: Language): Language | null {
  if (!code.startsWith('#!')) return otherwise
  const [, program = '', argument = ''] = /^#![ \t]*(\S+)(?:[ \t]+(\S+))?/.exec(code) ?? []
  const name = program.endsWith('/env') ? argument : program
  const command = name.slice(name.lastIndexOf('/') + 1)
  if (/^(sh|ash|dash)$/.test(command)) return 'sh'
  if (/^python(3(\.\d+)?)?$/.test(command)) return 'python'
  return /^(node|js|javascript)$/.test(command) ? 'javascript' : null
}

function nonsense(message: Record<string, unknown>): MultiverseError {
  const text = JSON.stringify(message).slice(0, 80)
  return new MultiverseError('PROVIDER_FAILED', `the guest says ${text}`)
}
