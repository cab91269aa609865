import type { Signing, TxRecord, TxStore } from '../../../keeper/store/txs.ts'
import { nextNonce } from '../../../keeper/tx/nonces.ts'

/** Signed transactions, remembered until the process ends. */
export function createMemoryTxs(): TxStore {
  const all: TxRecord[] = []
  const newest = new Map<string, TxRecord>()
  /** Whoever signs waits for whoever else does. */
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = turn.then(work, work)
    turn = next
    return next
  }
  const open = () => all.filter(({ state }) => state === 'signed')

  function put(
    { sender, purposes, kind, headBlock }: Signing,
    nonce: number,
    { hash, raw }: Pick<TxRecord, 'hash' | 'raw'>,
  ): TxRecord {
    const tx: TxRecord = {
      hash,
      purposes,
      kind,
      sender,
      nonce,
      raw,
      state: 'signed',
      block: null,
      headBlock,
      signedAt: Date.now(),
    }
    all.push(tx)
    for (const purpose of purposes) newest.set(purpose, tx)
    return { ...tx }
  }

  return {
    latest: async (purpose) => {
      const tx = newest.get(purpose)
      return tx ? { ...tx } : null
    },
    sign: (signing, floor, signer) =>
      inTurn(async () => {
        const taken = all.filter(({ state }) => state !== 'dropped' && state !== 'replaced')
        const nonce = nextNonce(floor, new Set(taken.map((each) => each.nonce)))
        return put(signing, nonce, await signer(nonce))
      }),
    replace: (present, signing, signer) =>
      inTurn(async () => put(signing, present.nonce, await signer(present.nonce))),
    fillHole: (signing, nonce, signer) =>
      inTurn(async () => put(signing, nonce, await signer(nonce))),
    settle: async ({ hash }, end) => {
      const tx = all.find((each) => each.hash === hash)
      if (!tx) return false
      tx.state = end.state
      if (end.state !== 'dropped') tx.block = end.block
      return true
    },
    pending: async () => open().toSorted((a, b) => a.nonce - b.nonce),
    ofNonce: async (_sender, nonce) => all.filter((each) => each.nonce === nonce).toReversed(),
    spent: async () => 0n,
    list: async () => [],
    counts: async () => [{ state: 'signed', count: open().length }],
  }
}
