import { relative } from 'node:path'

/** What is used of vitest's JSON report. A file that could not be run has a `message` and no tests. */
export type VitestReport = {
  numPassedTests?: number
  numFailedTests?: number
  testResults?: {
    name: string
    status: string
    message?: string
    assertionResults: { fullName: string; status: string; failureMessages?: string[] }[]
  }[]
}

/** Longest text of one failure, in lines: its error, what was expected, and where. */
const MOST_LINES = 40

/**
 * The failures of a report as texts: `FILE > TEST`, then the error, indented. Files are named from `root`. A file that failed
 * as a whole, in a hook or while it was read, is named without a test.
 */
export function failuresOf({ testResults = [] }: VitestReport, root: string): string[] {
  return testResults.flatMap(({ name, status, message = '', assertionResults }) => {
    const file = relative(root, name)
    const tests = assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => failure(`${file} > ${test.fullName}`, test.failureMessages ?? []))
    const isWhole = status === 'failed' && tests.length === 0
    return isWhole ? [failure(file, [message])] : tests
  })
}

function failure(what: string, messages: string[]): string {
  const lines = messages.flatMap((message) => message.split('\n')).filter((line) => line !== '')
  return [what, ...lines.slice(0, MOST_LINES).map((line) => `    ${line}`)].join('\n')
}
