import { spawn } from 'node:child_process'

/** Ends processes when this one is gone, however it goes. */
export type Reaper = {
  watch: (pid: number) => void
  /** To be called when a process has ended, before its id can be another's. */
  release: (pid: number) => void
  /** Lets the watched processes be. */
  close: () => Promise<void>
}

/** Reads `+ PID` and `- PID`, and ends what is left when its input does: that is, when the process that writes it has. */
const SCRIPT = `
while read -r sign pid; do
  case $sign in
    +) pids="$pids $pid" ;;
    -) left=; for each in $pids; do [ "$each" = "$pid" ] || left="$left $each"; done; pids=$left ;;
  esac
done
[ -z "$pids" ] || kill -9 $pids
`

/** One shell that waits for the end of its input: a process that is killed runs no handler of its own. */
export function createReaper(): Reaper {
  const shell = spawn('sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  const gone = new Promise<void>((resolve) => {
    shell.once('close', () => resolve())
    // Where there is no shell, children are ended by the exit of this process alone.
    shell.once('error', () => resolve())
  })
  shell.unref()
  shell.stdin.on('error', () => undefined)
  const pids = new Set<number>()
  // The shell would do this too, a moment later.
  const endAll = () => {
    for (const pid of pids) process.kill(pid, 'SIGKILL')
  }
  process.once('exit', endAll)
  const tell = (line: string) => void shell.stdin.write(`${line}\n`)
  return {
    watch: (pid) => {
      pids.add(pid)
      tell(`+ ${pid}`)
    },
    release: (pid) => {
      if (pids.delete(pid)) tell(`- ${pid}`)
    },
    close: async () => {
      process.removeListener('exit', endAll)
      for (const pid of pids) tell(`- ${pid}`)
      pids.clear()
      shell.ref()
      shell.stdin.end()
      await gone
    },
  }
}
