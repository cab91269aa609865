import type { NetworkConnection } from 'hardhat/types/network'
import { network } from 'hardhat'
import { type Address, getContractAddress, type Hex, numberToHex } from 'viem'

/** A transaction's target and calldata. */
export type Call = { to: Address; data: Hex }

/** What an operation cost: gas of its whole transactions, as receipts report it. */
export type Cost = { gas: number; transactions: readonly Hex[] }

/** A transaction's receipt, as far as the bench reads it. */
export type Receipt = {
  gasUsed: Hex
  status: Hex
  logs: { address: Address; topics: Hex[]; data: Hex }[]
}

/** Storage and code that a transaction touched, by account, as geth's prestate tracer tells it. */
export type State = Record<Address, { storage?: Record<Hex, Hex> }>

export type Touched = { touched: State; before: State; after: State }

/** Hardhat's in-process chain. Accounts and the addresses that `deploy` gives are the same in every run. */
export type Chain = {
  accounts: readonly Address[]
  /** @throws Error when the transaction reverts. */
  send: (from: Address, call: Call) => Promise<Cost>
  /** Deploys from the first account. */
  deploy: (code: Hex) => Promise<Address>
  read: (call: Call) => Promise<Hex>
  receipt: (transaction: Hex) => Promise<Receipt>
  /** The transaction's calldata. */
  input: (transaction: Hex) => Promise<Hex>
  /** What the transaction touched, and what it changed: before and after. A slot that stands on one side is 0 on the other. */
  touched: (transaction: Hex) => Promise<Touched>
}

/** Gives `work` a fresh chain and closes it afterwards. */
export async function withChain<T>(work: (chain: Chain) => Promise<T>): Promise<T> {
  const connection = await network.create('default')
  try {
    return await work(await createChain(connection))
  } finally {
    await connection.close()
  }
}

async function createChain({ provider }: NetworkConnection): Promise<Chain> {
  const request = async <T>(method: string, params: unknown[] = []) =>
    (await provider.request({ method, params })) as T
  const accounts = await request<Address[]>('eth_accounts')
  const deployer = accounts[0]!

  const receipt = (transaction: Hex) => request<Receipt>('eth_getTransactionReceipt', [transaction])
  const trace = <T>(transaction: Hex, diffMode: boolean) =>
    request<T>('debug_traceTransaction', [
      transaction,
      { tracer: 'prestateTracer', tracerConfig: { diffMode } },
    ])

  async function submit(from: Address, to: Address | undefined, data: Hex): Promise<Cost> {
    const hash = await request<Hex>('eth_sendTransaction', [
      { from, ...(to && { to }), data, gas: numberToHex(16_000_000) },
    ])
    const { gasUsed, status } = await receipt(hash)
    if (status !== '0x1') throw new Error(`transaction ${hash} reverted`)
    return { gas: Number(gasUsed), transactions: [hash] }
  }

  return {
    accounts,
    receipt,
    send: (from, { to, data }) => submit(from, to, data),
    async deploy(code) {
      const nonce = BigInt(await request<Hex>('eth_getTransactionCount', [deployer]))
      await submit(deployer, undefined, code)
      return getContractAddress({ from: deployer, nonce })
    },
    read: ({ to, data }) => request<Hex>('eth_call', [{ to, data }]),
    async input(transaction) {
      return (await request<{ input: Hex }>('eth_getTransactionByHash', [transaction])).input
    },
    async touched(transaction) {
      const { pre, post } = await trace<{ pre: State; post: State }>(transaction, true)
      return { touched: await trace<State>(transaction, false), before: pre, after: post }
    },
  }
}
