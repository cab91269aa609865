// The items of the seeds' checklist that are facts about schema, commands, triads, selection and numbers. What is left out is
// prose, or behaviour that its own suite proves: see docs/seeds.md for every item.

const range = (letter: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `${letter}${from + i}`)

/** Every item that test/seeds.test.ts has to assert, or to name as pending. */
export const ITEMS: readonly string[] = [
  ...range('B', 4, 6),
  ...range('D', 1, 54),
  ...range('E', 1, 5),
  ...range('F', 1, 7),
  ...range('G', 1, 28),
  ...range('H', 1, 8),
  ...range('I', 1, 18),
  ...range('J', 1, 20),
  ...range('L', 11, 15),
  'M2',
  'M3',
  'M6',
  ...range('P', 1, 5),
  ...range('R', 1, 32),
  'S1',
  'S2',
  'S5',
  'S8',
  'S10',
  'S13',
  'S14',
  'U3',
  'U4',
  ...range('V', 1, 9),
  'X11',
  'X18',
  'Y',
]

/**
 * Items that ask for live calls of a vendor's service, which come with its adapter: until then the commands say which
 * credentials are missing. Their rows in the registry, and what they declare, are asserted.
 */
export const PENDING: Readonly<Record<string, string>> = {
  D4: 'Modal: 50,000 queued sandboxes',
  D5: 'Modal: GPUs accepted and refused',
  D7: 'Modal: inference',
  D8: 'Modal: App.lookup',
  D9: 'Modal: Sandbox.create',
  D10: 'Modal: exec and its output',
  D11: 'Modal: terminate',
  D14: 'Morph: time of a snapshot',
  D15: 'Morph: overhead of a branch',
  D17: 'Morph: memory, disk and network',
  D19: 'Morph: the client and its key',
  D20: 'Morph: snapshots.create',
  D21: 'Morph: instances.branch',
  D24: 'Prime Intellect: asynchronous rollouts',
  D25: 'Prime Intellect: TOPLOC',
  D26: 'Prime Intellect: SHARDCAST',
  D28: 'Prime Intellect: a reward that grows',
  D29: 'Prime Intellect: PRIME-RL',
  D30: 'Prime Intellect: TOPLOC',
  D31: 'Prime Intellect: SHARDCAST',
  D32: 'Prime Intellect: submit_rollout',
  D35: 'Gensyn: probabilistic proofs',
  D36: 'Gensyn: tasks on a chain',
  D38: 'Gensyn: anybody may verify',
  D40: 'Gensyn: the same on every device',
  D41: 'Gensyn: cost of verification',
  D42: 'Gensyn: peers',
  D43: 'Gensyn: payments',
  D44: 'Gensyn: submit_task',
  D45: 'Gensyn: wait_for_verification',
  D48: 'Ritual: proofs accepted and refused',
  D49: 'Ritual: Infernet',
  D50: 'Ritual: chains',
  D51: 'Ritual: anybody may serve',
  D53: 'Ritual: submit_inference',
  D54: 'Ritual: get_proof',
}
