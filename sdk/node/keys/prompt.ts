import { openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { ReadStream, WriteStream } from 'node:tty'
import { MultiverseError } from '../../errors.ts'

/** The terminal that a process was started from, under every Unix. */
const TERMINAL = '/dev/tty'

/** Asks a person for something that must not be seen. */
export type Prompt = {
  /** The line that was typed, without it being shown. @throws INTERRUPTED, NO_PASSPHRASE at the end of input */
  ask: (question: string) => Promise<string>
  close: () => void
}

/** Where a prompt speaks with its person. `input` may have `isTTY` and `setRawMode`, as terminals do. */
export type Terminal = { input: NodeJS.ReadableStream; output: NodeJS.WritableStream }

/** A prompt on a terminal. What is typed is edited as usual but never written anywhere. */
export function createPrompt({ input, output }: Terminal): Prompt {
  // Readline would write what is typed here.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: nowhere, terminal: true, historySize: 0 })
  const typed: string[] = []
  let waiting: PromiseWithResolvers<string> | null = null
  let failure: MultiverseError | null = null
  const fail = (error: MultiverseError) => {
    failure ??= error
    waiting?.reject(failure)
    waiting = null
  }
  lines.on('line', (line) => {
    if (waiting === null) typed.push(line)
    else waiting.resolve(line)
    waiting = null
  })
  lines.on('SIGINT', () => fail(new MultiverseError('INTERRUPTED', 'ended at the prompt')))
  lines.on('close', () => fail(new MultiverseError('NO_PASSPHRASE', 'nothing was typed')))
  return {
    async ask(question) {
      output.write(question)
      try {
        const line = typed.shift()
        if (line !== undefined) return line
        if (failure !== null) throw failure
        waiting = Promise.withResolvers<string>()
        return await waiting.promise
      } finally {
        output.write('\n')
      }
    },
    close: () => lines.close(),
  }
}

/**
 * A prompt on the terminal that this process was started from, whatever its standard input and output are; null when
 * there is none.
 */
export function openTerminalPrompt(): Prompt | null {
  let fds: [number, number]
  try {
    fds = [openSync(TERMINAL, 'r'), openSync(TERMINAL, 'w')]
  } catch {
    // No terminal of its own: a service, a job, a system without such a file.
    return null
  }
  const input = new ReadStream(fds[0])
  const output = new WriteStream(fds[1])
  const prompt = createPrompt({ input, output })
  return {
    ask: prompt.ask,
    close() {
      prompt.close()
      input.destroy()
      output.destroy()
    },
  }
}
