import type { NetworkConnection } from 'hardhat/types/network'
import { artifacts, network } from 'hardhat'
import {
  type Abi,
  type Address,
  encodeDeployData,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  keccak256,
  numberToHex,
} from 'viem'
import { multiverseAbi, tokenAbi } from '../sdk/abi.ts'
import { type Answer, childVerse, positionId, questionId, ROOT } from '../sdk/ids.ts'
import { figure, report, type Row, table } from './harness.ts'

const AMOUNT = 10n ** 18n
const DEADLINE = 4_102_444_800n
const ZERO_HASH = ROOT

/**
 * Measures the ledger's own gas on Hardhat's in-process chain: whole transactions as receipts report them, from an
 * account that approved the ledger without limit, while both the account and the ledger hold some of the collateral.
 * Addresses, questions and amounts are fixed, so the figures are the same in every run.
 */
export async function measureLedgerGas(): Promise<Row[]> {
  const connection = await network.create('default')
  try {
    return await measure(connection)
  } finally {
    await connection.close()
  }
}

async function measure({ provider }: NetworkConnection): Promise<Row[]> {
  const [alice, bob] = (await provider.request({ method: 'eth_accounts' })) as [Address, Address]
  let nonce = 0n
  let salt = 0n

  async function send(from: Address, to: Address | undefined, data: Hex): Promise<number> {
    const hash = await provider.request({
      method: 'eth_sendTransaction',
      params: [{ from, ...(to && { to }), data, gas: numberToHex(16_000_000) }],
    })
    const receipt = (await provider.request({
      method: 'eth_getTransactionReceipt',
      params: [hash],
    })) as { gasUsed: Hex; status: Hex }
    if (receipt.status !== '0x1') throw new Error(`transaction ${String(hash)} reverted`)
    return Number(receipt.gasUsed)
  }

  async function deploy(name: string, args: readonly unknown[]): Promise<Address> {
    const { abi, bytecode } = await artifacts.readArtifact(name)
    const data = encodeDeployData({ abi: abi as Abi, bytecode: bytecode as Hex, args })
    await send(alice, undefined, data)
    return getContractAddress({ from: alice, nonce: nonce++ })
  }

  const ledger = await deploy('Multiverse', [])
  const token = await deploy('TestToken', ['Test Dollar', 'TUSD', 18])

  const mint = (to: Address) =>
    send(
      alice,
      token,
      encodeFunctionData({ abi: tokenAbi, functionName: 'mint', args: [to, AMOUNT * 1000n] }),
    )
  const approve = (from: Address) =>
    send(
      from,
      token,
      encodeFunctionData({
        abi: tokenAbi,
        functionName: 'approve',
        args: [ledger, 2n ** 256n - 1n],
      }),
    )
  const ask = async (outcomes: number): Promise<Hex> => {
    const terms = { oracle: alice, outcomes, deadline: DEADLINE, termsHash: ZERO_HASH }
    const specHash = keccak256(numberToHex(++salt, { size: 32 }))
    await send(
      alice,
      ledger,
      encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'ask',
        args: [alice, outcomes, DEADLINE, specHash, ZERO_HASH, ''],
      }),
    )
    return questionId({ ...terms, specHash })
  }
  const pushDown = (path: Answer[], question: Hex, amount = AMOUNT) =>
    send(
      alice,
      ledger,
      encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'pushDown',
        args: [path, question, token, amount, alice],
      }),
    )
  const pullUp = (from: Address, question: Hex, amount = AMOUNT) =>
    send(
      from,
      ledger,
      encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'pullUp',
        args: [[], question, token, amount, from],
      }),
    )
  const sell = (question: Hex, outcome: number, amount = AMOUNT) =>
    send(
      alice,
      ledger,
      encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'transfer',
        args: [bob, positionId(childVerse(ROOT, question, outcome), token), amount],
      }),
    )
  const answer = (question: Hex, outcome: number) =>
    send(
      alice,
      ledger,
      encodeFunctionData({
        abi: multiverseAbi,
        functionName: 'narrow',
        args: [question, 1n << BigInt(outcome)],
      }),
    )

  for (const account of [alice, bob, ledger]) await mint(account)
  for (const account of [alice, bob]) await approve(account)

  const figures: Row[] = []
  const note = (operation: string, target: number, gas: number) =>
    figures.push(figure(operation, gas, 'gas', { op: '<=', value: target }))

  const two = await ask(2)
  note('push down 2, first', 77_500, await pushDown([], two))
  note('push down 2, again', 60_500, await pushDown([], two))
  note('pull up 2, unresolved', 60_500, await pullUp(alice, two))

  const wide = new Map<number, number>()
  for (const [outcomes, target] of [
    [8, 93_500],
    [64, 238_000],
    [254, 735_000],
  ] as const) {
    const question = await ask(outcomes)
    const gas = await pushDown([], question)
    wide.set(outcomes, gas)
    note(`push down ${outcomes}, first`, target, gas)
    await pushDown([], question)
    if (outcomes === 64) note('pull up 64, unresolved', 370_000, await pullUp(alice, question))
  }
  const perOutcome = Math.round((wide.get(254)! - wide.get(8)!) / (254 - 8))
  note('one more outcome in a push-down', 2_600, perOutcome)

  const traded = await ask(2)
  const pushed = await pushDown([], traded)
  note('push down 2 then sell one side', 152_000, pushed + (await sell(traded, 0)))
  note('answer (n = 2)', 32_000, await answer(traded, 0))
  note('redeem bought winner, whole balance', 54_000, await pullUp(bob, traded))

  const kept = await ask(2)
  await pushDown([], kept, AMOUNT * 2n)
  await answer(kept, 1)
  note('redeem as a set holder', 74_500, await pullUp(alice, kept))

  const pair = [await ask(2), await ask(2)]
  const [low, high] = pair.toSorted() as [Hex, Hex]
  await pushDown([], low)
  await pushDown([], high)
  const last = await pushDown([{ question: low, outcome: 0 }], high)
  note('push down 2 at depth 2, sorting last', 82_000, last)
  const first = await pushDown([{ question: high, outcome: 1 }], low)
  note('push down 2 at depth 2, sorting first', 112_000, first)

  return figures
}

if (import.meta.main) console.log(table(report('gas', await measureLedgerGas())))
