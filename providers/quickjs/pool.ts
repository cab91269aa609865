import type { Worker } from 'node:worker_threads'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import type { Answers, Notice, Reply, Task, Told } from './protocol.ts'

/** Workers, each doing one task at a time; tasks wait in one line. */
export type Pool = {
  /**
   * @throws what the worker threw; PROVIDER_FAILED when it died; the signal's reason when the task was still waiting
   */
  perform: <kind extends Task['kind']>(
    task: Extract<Task, { kind: kind }>,
    options?: TaskOptions,
  ) => Promise<Placed<Answers[kind]>>
  /** Tells a worker that a world is needed no more. */
  drop: (seat: number, world: string) => void
  /** Ends the workers; every task not yet answered rejects with `reason`. */
  close: (reason: Error) => Promise<void>
}

/** An answer and the seat of the worker that gave it. */
export type Placed<answer> = { answer: answer; seat: number }

export type TaskOptions = {
  /** The worker that would do it quickest; another one does it only when that one is busy. */
  seat?: number | null
  /** Takes a waiting task out of the line. A task that has begun must be told in its own way. */
  signal?: AbortSignal
  /** The worker is ended when it has not answered by then, and the task rejects with the error given. */
  deadline?: { ms: number; error: () => Error }
  /** Is given what the worker tells while it is at the task. */
  onTold?: (told: Told) => void
}

type Job = {
  task: Task
  seat: number | null
  begin: () => void
  hear: (told: Told) => void
  succeed: (answer: Answers[Task['kind']], seat: number) => void
  fail: (error: unknown) => void
}

type Seat = { index: number; worker: Worker | null; job: Job | null }

/** @param spawn starts one worker; called again when one has died */
export function createPool(size: number, spawn: () => Worker): Pool {
  const seats = Array.from({ length: size }, (_, index): Seat => ({
    index,
    worker: null,
    job: null,
  }))
  const line: Job[] = []
  /** Workers on their way out. */
  const leaving = new Set<Promise<unknown>>()
  let closed: Error | null = null
  for (const seat of seats) staff(seat)

  return { perform, drop, close }

  function perform<kind extends Task['kind']>(
    task: Extract<Task, { kind: kind }>,
    options: TaskOptions = {},
  ): Promise<Placed<Answers[kind]>> {
    const { signal, deadline } = options
    return new Promise((resolve, reject) => {
      if (closed !== null) return reject(closed)
      if (signal?.aborted === true) return reject(signal.reason)
      let timer: NodeJS.Timeout | undefined
      const job: Job = {
        task,
        seat: options.seat ?? null,
        hear: (told) => options.onTold?.(told),
        begin: () => {
          signal?.removeEventListener('abort', leave)
          if (deadline !== undefined)
            timer = setTimeout(() => {
              end(job, deadline.error())
            }, deadline.ms)
        },
        succeed: (answer, seat) => {
          clearTimeout(timer)
          resolve({ answer: answer as Answers[kind], seat })
        },
        fail: (error) => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', leave)
          reject(error)
        },
      }
      const leave = () => {
        line.splice(line.indexOf(job), 1)
        job.fail(signal?.reason)
      }
      signal?.addEventListener('abort', leave, { once: true })
      line.push(job)
      dispatch()
    })
  }

  /** Gives waiting tasks to idle workers: each its own first, then the others. */
  function dispatch(): void {
    for (const isOwn of [true, false])
      for (const seat of seats) {
        if (seat.job !== null) continue
        const at = line.findIndex((job) => !isOwn || job.seat === seat.index || job.seat === null)
        const job = line[at]
        if (job === undefined) continue
        line.splice(at, 1)
        start(seat, job)
      }
  }

  function start(seat: Seat, job: Job): void {
    seat.job = job
    job.begin()
    try {
      const worker = seat.worker ?? staff(seat)
      worker.ref()
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage(job.task)
    } catch (cause) {
      seat.job = null
      job.fail(
        new MultiverseError('PROVIDER_FAILED', `no quickjs worker: ${oneLine(cause)}`, { cause }),
      )
    }
  }

  function staff(seat: Seat): Worker {
    const worker = spawn()
    seat.worker = worker
    // An idle pool keeps no process alive.
    worker.unref()
    let cause: unknown
    worker.on('message', (reply: Reply | Told) => {
      const { job } = seat
      if ('kind' in reply) {
        job?.hear(reply)
        return
      }
      seat.job = null
      worker.unref()
      if (reply.ok) job?.succeed(reply.answer, seat.index)
      else job?.fail(fromWire(reply.error))
      dispatch()
    })
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('exit', (code) => {
      if (seat.worker !== worker) return
      const why = cause === undefined ? `exit code ${code}` : oneLine(cause)
      vacate(
        seat,
        new MultiverseError('PROVIDER_FAILED', `a quickjs worker died: ${why}`, {
          cause,
          isRetryable: true,
        }),
      )
    })
    return worker
  }

  /** Lets a seat's worker go; the next one is started when there is work. */
  function vacate(seat: Seat, error: unknown): void {
    const { job } = seat
    seat.worker = null
    seat.job = null
    job?.fail(error)
    dispatch()
  }

  /** Ends the worker that a task is stuck in. */
  function end(job: Job, error: Error): void {
    const seat = seats.find((each) => each.job === job)
    const worker = seat?.worker
    if (seat === undefined || worker == null) return
    vacate(seat, error)
    dismiss(worker)
  }

  function dismiss(worker: Worker): void {
    const gone = worker.terminate().finally(() => leaving.delete(gone))
    leaving.add(gone)
  }

  function drop(index: number, world: string): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    seats[index]?.worker?.postMessage({ kind: 'drop', world } satisfies Notice)
  }

  async function close(reason: Error): Promise<void> {
    closed = reason
    const waiting = line.splice(0)
    const workers = seats.flatMap((seat) => seat.worker ?? [])
    const running = seats.flatMap((seat) => seat.job ?? [])
    for (const seat of seats) {
      seat.worker = null
      seat.job = null
    }
    for (const job of [...waiting, ...running]) job.fail(reason)
    workers.forEach(dismiss)
    await Promise.all(leaving)
  }
}

function fromWire(error: Extract<Reply, { ok: false }>['error']): MultiverseError {
  const { code, message, isRetryable, detail } = error
  return new MultiverseError(code, message, { cause: detail ?? undefined, isRetryable })
}
