/**
 * Exit codes after which a process is not to be started again before somebody has seen to what is wrong: 2 and 3, and from
 * 10 to 29 what a process refuses by name. docs/operations.md says what each is.
 */
export function isFinalExit(code: number | null): boolean {
  return code !== null && (code === 2 || code === 3 || (code >= 10 && code <= 29))
}
