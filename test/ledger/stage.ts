import { artifacts, network } from 'hardhat'
import {
  type Abi,
  type Address,
  decodeAbiParameters,
  decodeFunctionResult,
  encodeDeployData,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  numberToHex,
  parseAbi,
} from 'viem'
import { tokenAbi } from '../../sdk/abi.ts'
import { OWNERS, TOKENS } from './operations.ts'

/** Index of the actor that is the oracle of all questions; the owners come before it. */
export const ORACLE = OWNERS

/** One call by one actor. */
export type StageCall = { actor: number; target: Address; data: Hex }
export type Log = { address: Address; topics: Hex[]; data: Hex }
/** How a scene went: each call's end in order, and everything that was logged on the way. */
export type Played = { results: { ok: boolean; result: Hex }[]; logs: Log[] }

export type Stage = Awaited<ReturnType<typeof createStage>>

const GAS_LIMIT = 16_700_000n
const FUNDS = 10n ** 40n
const MAX_VIEWS = 1_000

const stageAbi = parseAbi([
  'struct Step { uint256 actor; address target; bytes data; }',
  'constructor(uint256 count)',
  'event Played(bool ok, bytes result)',
  'function actors(uint256) view returns (address)',
  'function play(Step[] steps)',
  'function read(address target, bytes[] calls) view returns (bytes[] results)',
])

/** Hardhat's in-process chain with a stage of actors on it: whole scenes are played in one transaction. */
export async function createStage() {
  const connection = await network.create('default')
  const { provider } = connection
  const [director] = (await provider.request({ method: 'eth_accounts' })) as [Address]
  let nonce = 0n

  async function send(data: Hex, to?: Address): Promise<Log[]> {
    const hash = await provider.request({
      method: 'eth_sendTransaction',
      params: [{ from: director, ...(to && { to }), data, gas: numberToHex(GAS_LIMIT) }],
    })
    nonce += 1n
    const receipt = (await provider.request({
      method: 'eth_getTransactionReceipt',
      params: [hash],
    })) as { status: Hex; logs: Log[] }
    if (receipt.status !== '0x1') throw new Error(`transaction ${String(hash)} reverted`)
    return receipt.logs
  }

  async function deployCode(abi: Abi, bytecode: Hex, args: readonly unknown[]): Promise<Address> {
    const address = getContractAddress({ from: director, nonce })
    await send(encodeDeployData({ abi, bytecode, args }))
    return address
  }

  /** Deploys a contract of this project by name. */
  async function deploy(name: string, args: readonly unknown[] = []): Promise<Address> {
    const { abi, bytecode } = await artifacts.readArtifact(name)
    return deployCode(abi as Abi, bytecode as Hex, args)
  }

  const stage = await deploy('Stage', [BigInt(OWNERS + 1)])

  /** Views of one contract, as many in one call as its gas is enough for. */
  async function read(target: Address, calls: readonly Hex[]): Promise<readonly Hex[]> {
    const results: Hex[] = []
    for (let from = 0; from < calls.length; from += MAX_VIEWS)
      results.push(...(await readAtOnce(target, calls.slice(from, from + MAX_VIEWS))))
    return results
  }

  async function readAtOnce(target: Address, calls: readonly Hex[]): Promise<readonly Hex[]> {
    const data = encodeFunctionData({ abi: stageAbi, functionName: 'read', args: [target, calls] })
    const result = (await provider.request({
      method: 'eth_call',
      params: [{ from: director, to: stage, data, gas: numberToHex(GAS_LIMIT) }, 'latest'],
    })) as Hex
    return decodeFunctionResult({ abi: stageAbi, functionName: 'read', data: result })
  }

  /** Plays calls in one block, `timestamp` in Unix seconds. */
  async function play(calls: readonly StageCall[], timestamp: number): Promise<Played> {
    await provider.request({ method: 'evm_setNextBlockTimestamp', params: [timestamp] })
    const steps = calls.map(({ actor, ...rest }) => ({ actor: BigInt(actor), ...rest }))
    const all = await send(
      encodeFunctionData({ abi: stageAbi, functionName: 'play', args: [steps] }),
      stage,
    )
    const results: Played['results'] = []
    const logs: Log[] = []
    for (const log of all) {
      if (log.address.toLowerCase() !== stage.toLowerCase()) logs.push(log)
      else {
        const [ok, result] = decodeAbiParameters([{ type: 'bool' }, { type: 'bytes' }], log.data)
        results.push({ ok, result })
      }
    }
    return { results, logs }
  }

  const actors: Address[] = []
  for (const data of await read(
    stage,
    Array.from({ length: OWNERS + 1 }, (_, index) =>
      encodeFunctionData({ abi: stageAbi, functionName: 'actors', args: [BigInt(index)] }),
    ),
  ))
    actors.push(decodeFunctionResult({ abi: stageAbi, functionName: 'actors', data }))

  /** Tokens that every owner has plenty of and lets `spender` take. */
  async function fund(spender: Address): Promise<Address[]> {
    const tokens: Address[] = []
    for (let token = 0; token < TOKENS; token++) {
      const address = await deploy('TestToken', [`Token ${token}`, `T${token}`, 18])
      tokens.push(address)
      const approve = encodeFunctionData({
        abi: tokenAbi,
        functionName: 'approve',
        args: [spender, 2n ** 256n - 1n],
      })
      const calls = actors.slice(0, OWNERS).flatMap((owner, actor) => [
        {
          actor,
          target: address,
          data: encodeFunctionData({
            abi: tokenAbi,
            functionName: 'mint',
            args: [owner, FUNDS],
          }),
        },
        { actor, target: address, data: approve },
      ])
      const steps = calls.map((call) => ({ ...call, actor: BigInt(call.actor) }))
      await send(encodeFunctionData({ abi: stageAbi, functionName: 'play', args: [steps] }), stage)
    }
    return tokens
  }

  /** What each owner has of a token more than he was given. */
  async function gains(token: Address): Promise<bigint[]> {
    const calls = actors
      .slice(0, OWNERS)
      .map((owner) =>
        encodeFunctionData({ abi: tokenAbi, functionName: 'balanceOf', args: [owner] }),
      )
    return (await read(token, calls)).map((data) => BigInt(data) - FUNDS)
  }

  /** Does something and leaves the chain as it was before. */
  async function rehearse(run: () => Promise<void>): Promise<void> {
    const snapshot = await provider.request({ method: 'evm_snapshot' })
    const before = nonce
    try {
      await run()
    } finally {
      await provider.request({ method: 'evm_revert', params: [snapshot] })
      nonce = before
    }
  }

  return {
    actors,
    deploy,
    deployCode,
    fund,
    gains,
    play,
    read,
    rehearse,
    close: () => connection.close(),
  }
}
