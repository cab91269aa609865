import { createEvmProvider } from '../../providers/evm/provider.ts'
import { detectGvisor } from '../../providers/gvisor/engine.ts'
import { createGvisorProvider } from '../../providers/gvisor/provider.ts'
import { detectMicrovm } from '../../providers/microvm/detect.ts'
import { createMicrovmProvider } from '../../providers/microvm/provider.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'

/** A backend of worlds, as the bench sees it. Its programs are small, and the same in every language. */
export type Backend = {
  id: string
  create: (note: (text: string) => void) => WorldRuntimeProvider
  /** Why it cannot be measured here, and what to do; null when it can. */
  missing: () => Promise<string | null>
  /** Adds one to the world's counter and gives the sum. */
  count: string
  /** One that takes the longer part of its time to compute. */
  work: string
  /** Runs of each operation that count. */
  repetitions: number
  /** Whether a keeper has new worlds kept ready. */
  bootsSlowly: boolean
  /** Branches that live at a time when memory is measured. */
  crowd: number
  /** What issue 5 asks of it, milliseconds, on two cores. */
  targets: Partial<Record<Target, number>>
}

export type Target =
  | 'snapshot'
  | 'branch'
  | 'branch 3'
  | 'push-down'
  | 'first answer'
  | 'crowd'
  | 'private share'
  | 'verify / execute'

const here = async () => null

/** An account with a contract that adds one to its first word of storage and gives the sum. */
const COUNTER = '0x00000000000000000000000000000000000000c0'
const counting = (times: number) =>
  JSON.stringify({
    steps: [
      { kind: 'code', account: COUNTER, bytecode: '0x5f54600101805f555f5260205ff3' },
      ...Array.from({ length: times - 1 }, () => ({ kind: 'send', to: COUNTER })),
      { kind: 'send', as: 'sum', to: COUNTER, returns: ['uint32'] },
    ],
    result: { $: 'sum.output' },
  })

/** Every backend of worlds that runs on one's own machine. */
export const BACKENDS: readonly Backend[] = [
  {
    id: 'quickjs',
    create: () => createQuickjsProvider(),
    missing: here,
    count: 'globalThis.n = (globalThis.n ?? 0) + 1',
    work: 'for (let i = 0; i < 100_000; i++) globalThis.s = (globalThis.s ?? 0) + i; s',
    repetitions: 60,
    bootsSlowly: false,
    crowd: 1_000,
    targets: { snapshot: 8, branch: 0.7, 'branch 3': 2, 'push-down': 25, 'verify / execute': 2 },
  },
  {
    id: 'evm',
    create: () => createEvmProvider(),
    missing: here,
    count: counting(1),
    work: counting(20),
    repetitions: 10,
    bootsSlowly: false,
    crowd: 8,
    targets: { 'verify / execute': 2 },
  },
  {
    id: 'gvisor',
    create: () => createGvisorProvider(),
    missing: async () => {
      const found = await detectGvisor()
      return found.available ? null : `${found.reason} (${found.install})`
    },
    count: 'n = globals().get("n", 0) + 1\nn',
    work: 's = 0\nfor i in range(1_000_000): s += i\ns',
    repetitions: 10,
    bootsSlowly: true,
    crowd: 8,
    targets: { 'push-down': 700, 'verify / execute': 2 },
  },
  {
    id: 'microvm',
    create: (note) => createMicrovmProvider({ note }),
    missing: async () => {
      const found = await detectMicrovm()
      return found.available ? null : `${found.reason} (${found.install})`
    },
    count: 'globalThis.n = (globalThis.n ?? 0) + 1',
    work: 'for (let i = 0; i < 100_000; i++) globalThis.s = (globalThis.s ?? 0) + i; s',
    repetitions: 10,
    bootsSlowly: true,
    crowd: 64,
    targets: {
      snapshot: 120,
      'first answer': 100,
      'branch 3': 180,
      crowd: 4_000,
      'private share': 40,
      'verify / execute': 2,
    },
  },
]
