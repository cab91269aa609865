import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Batch, Message, Outcome, Shared } from './worker.ts'

/** Compiling a batch on a busy machine may take minutes; one mutant's tests may not. */
const LIMITS = { compileMs: 900_000, mutantMs: 240_000 }

/**
 * Tries batches in as many processes as `workers` says. A mutant whose tests do not end is stopped with its process, counts as
 * `timeout`, and the rest of its batch goes on in another.
 * @throws Error when a worker cannot do its work.
 */
export async function tryAll(
  batches: readonly Batch[],
  shared: Shared,
  workers: number,
  onOutcome: (key: string, outcome: Outcome) => void,
): Promise<void> {
  const queue = [...batches]
  const run = async () => {
    for (let batch = queue.shift(); batch !== undefined; batch = queue.shift())
      await tryInProcess(batch)
  }

  /** One process serves batches until the queue is empty or a mutant hangs. */
  function tryInProcess(first: Batch): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), { stdio: 'inherit' })
      let batch: Batch | undefined
      let next: Batch | undefined = first
      let current: string | undefined
      const done = new Set<string>()
      let timer: NodeJS.Timeout | undefined

      const watch = (ms: number) => {
        clearTimeout(timer)
        timer = setTimeout(() => void hang(), ms)
      }
      const end = async () => {
        clearTimeout(timer)
        await stop(child)
      }
      const hang = async () => {
        await end()
        if (current === undefined || batch === undefined)
          return reject(new Error(`compiling ${batch?.file} took over ${LIMITS.compileMs} ms`))
        onOutcome(current, { kind: 'timeout' })
        done.add(current)
        const rest = batch.mutants.filter(({ key }) => !done.has(key))
        if (rest.length > 0) queue.unshift({ ...batch, skip: [...done] })
        resolve()
      }

      child.on('message', (message: Message) => {
        switch (message.kind) {
          case 'begun':
            current = message.key
            watch(LIMITS.mutantMs)
            return
          case 'outcome':
            done.add(message.key)
            onOutcome(message.key, message.outcome)
            return
          case 'idle':
            batch = next ?? queue.shift()
            next = undefined
            current = undefined
            done.clear()
            if (batch === undefined) {
              void end().then(resolve)
              return
            }
            for (const key of batch.skip) done.add(key)
            watch(LIMITS.compileMs)
            child.send({ batch, shared })
            return
          case 'failed':
            void end().then(() => reject(new Error(message.reason)))
            return
          default:
            message satisfies never
        }
      })
      child.on('error', (error) => void end().then(() => reject(error)))
      child.on('exit', (code) => {
        if (code !== null && code !== 0) {
          clearTimeout(timer)
          reject(new Error(`a worker ended with code ${code}`))
        }
      })
    })
  }

  await Promise.all(Array.from({ length: workers }, run))
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}
