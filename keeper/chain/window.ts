import type { Hex } from 'viem'

/** What following a chain needs of a block. `timestamp` in Unix seconds; `bloom` is its filter of logs, while it is new. */
export type Header = {
  number: number
  hash: Hex
  parentHash: Hex
  timestamp: number
  bloom?: Hex
}

/** The newest blocks that were taken in, ascending and linked; the last is the tip. */
export type Window = readonly Header[]

/** What a new head means for the window. */
export type Step =
  /** The head is the tip already. */
  | { kind: 'same' }
  /** The branch does not reach the window yet: its ancestors down to this number are needed. */
  | { kind: 'need'; from: number }
  /** New blocks on the tip. */
  | { kind: 'extend'; blocks: Header[] }
  /** Blocks were taken back down to, not including, `ancestor`; `blocks` stand in their place and may be none. */
  | { kind: 'fork'; ancestor: Header; dropped: Header[]; blocks: Header[] }
  /** The branch left the window's chain below the window's first block. */
  | { kind: 'deep' }

/**
 * Places a branch of the chain against the window. `branch` is ascending, linked and ends in the new head.
 * An empty window takes any branch.
 */
export function place(window: Window, branch: readonly Header[]): Step {
  const head = branch.at(-1)
  const lowest = branch[0]
  const tip = window.at(-1)
  if (!head || !lowest) throw new Error('a branch has at least its head')
  if (!tip || !window[0]) return { kind: 'extend', blocks: [...branch] }
  if (head.hash === tip.hash) return { kind: 'same' }
  const known = new Map(window.map((header, index) => [header.hash, index]))
  for (let at = branch.length - 1; at >= 0; at--) {
    const header = branch[at]!
    // The head itself may be an older block of the window: a chain that was rolled back.
    const self = known.get(header.hash)
    if (self !== undefined) return join(window, self, branch.slice(at + 1))
    const parent = known.get(header.parentHash)
    if (parent !== undefined) return join(window, parent, branch.slice(at))
  }
  if (lowest.number <= window[0].number) return { kind: 'deep' }
  // Up to the tip's own height at once, then twice as deep each time.
  const from = Math.min(tip.number + 1, lowest.number - branch.length)
  return { kind: 'need', from: Math.max(window[0].number, from) }
}

/** The window after a step, cut to its newest `size` blocks. A step that asks for more or is too deep leaves it. */
export function advance(window: Window, step: Step, size: number): Window {
  if (step.kind !== 'extend' && step.kind !== 'fork') return window
  const dropped = step.kind === 'fork' ? step.dropped.length : 0
  return [...window.slice(0, window.length - dropped), ...step.blocks].slice(-size)
}

function join(window: Window, ancestor: number, blocks: Header[]): Step {
  const dropped = window.slice(ancestor + 1)
  return dropped.length === 0
    ? { kind: 'extend', blocks }
    : { kind: 'fork', ancestor: window[ancestor]!, dropped, blocks }
}
