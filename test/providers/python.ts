import type { Dialect } from './conformance.ts'

/** What worlds of Python are asked in the conformance suite. */
export const python: Dialect = {
  add: (by) => `count = globals().get('count', 0) + ${by}\ncount`,
  random: 'import random\nrandom.random()',
  time: 'import time\ntime.time_ns() / 1e6',
  print: 'import sys\nprint("out")\nprint("err", file=sys.stderr)',
  fail: 'count = globals().get("count", 0) + 1000\nraise TypeError("broken\\nin two lines")',
  printsAndStays: 'print("out", flush=True)\nwhile True: pass',
  neverEnds: 'while True: count = globals().get("count", 0) + 1',
  eatsMemory: 'hoard = []\nwhile True: hoard.append(bytearray(1000))',
  recurses: 'def recurse(): recurse()\nrecurse()',
  neverAnswers: 'from concurrent.futures import Future\nFuture()',
  notJson: ['{1, 2}', 'lambda: 1', 'float("nan")', 'ring = []\nring.append(ring)\nring'],
  answersTooMuch: '"x" * 4_000_000',
  printsTooMuch: 'for _ in range(50): print("x" * 100_000)',
}
