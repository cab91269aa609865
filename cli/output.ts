/** What a verb comes to: one JSON value for programs, text for people. */
export type Result = {
  json: unknown
  text: string
  /** Overrides the exit code 0: for a run that ended but did not hold what it claims. */
  exitCode?: number
}

/** Lines about what is being done, on standard error: rewritten in place on a terminal, plain elsewhere. */
export type Progress = {
  /** Something was done or noticed. */
  say: (line: string) => void
  /** Something begins; the next line takes its place on a terminal. */
  begin: (line: string) => void
  /** Leaves the terminal's last line clean. */
  end: () => void
}

/** Progress on a stream. */
export function createProgress(stream: NodeJS.WriteStream): Progress {
  let isPending = false
  const clear = () => {
    if (isPending) stream.write('\r\u001b[K')
    isPending = false
  }
  return {
    say(line) {
      clear()
      stream.write(`${line}\n`)
    },
    begin(line) {
      if (!stream.isTTY) return
      clear()
      // Longer than the terminal is wide it would wrap, and could not be taken back. Some terminals are 0 wide.
      stream.write(`${line} ...`.slice(0, (stream.columns || 80) - 1))
      isPending = true
    },
    end: clear,
  }
}

/** Columns as wide as their widest cell, two spaces apart; a column of numbers is aligned to the right. */
export function table(rows: readonly (readonly string[])[], headers?: readonly string[]): string {
  const all = headers === undefined ? rows : [headers, ...rows]
  const count = Math.max(0, ...all.map((row) => row.length))
  const columns = Array.from({ length: count }, (_, index) => ({
    width: Math.max(...all.map((row) => row[index]?.length ?? 0)),
    isNumeric: rows.length > 0 && rows.every((row) => /^-?[\d.]+$/.test(row[index] ?? '')),
  }))
  return all
    .map((row) =>
      columns
        .map(({ width, isNumeric }, index) => {
          const cell = row[index] ?? ''
          return isNumeric ? cell.padStart(width) : cell.padEnd(width)
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
