import {
  type AbiFunction,
  type AbiParameter,
  decodeAbiParameters,
  encodeAbiParameters,
  encodeFunctionData,
  type Hex,
  numberToHex,
  parseAbiItem,
  parseAbiParameters,
  zeroAddress,
} from 'viem'
import { isMultiverseError, MultiverseError, oneLine } from '../../sdk/errors.ts'
import { resultInvalid } from '../host/errors.ts'
import { createOutput, MAX_RESULT_BYTES } from '../host/results.ts'
import type { Output } from '../provider.ts'
import type { Anvil, RpcFailure } from './anvil.ts'
import { type Program, resolve, type Scope, type Step } from './program.ts'
import { type Json, revertReason, toAbi, toInteger, toJson } from './values.ts'

/** The newest block. */
export type Head = { number: bigint; timestamp: bigint; hash: Hex; stateRoot: Hex }

/** What a program did. */
export type Run = {
  json: string
  stdout: string
  stderr: string
  head: Head
  /** Contracts by name, those of earlier programs too. */
  names: Record<string, Hex>
}

const GAS = 2n ** 40n
/** JSON-RPC's code of a call that reverted. */
const REVERTED = 3

type Message = Extract<Step, { kind: 'send' | 'deploy' | 'call' }>
type Block = { number: Hex; timestamp: Hex; hash: Hex; stateRoot: Hex }
type Receipt = { status: Hex; gasUsed: Hex; contractAddress: Hex | null; logs: Log[] }
type Log = { address: Hex; topics: Hex[]; data: Hex }
type Outcome = { status: 'success' | 'reverted'; data: Hex; reason?: string; receipt?: Receipt }

/**
 * Runs a program on an anvil that holds its world and nothing newer. When it throws, the anvil is in no defined state.
 * @throws PROGRAM_ERROR, OUT_OF_MEMORY, RESULT_INVALID, PROVIDER_FAILED
 */
export async function runProgram(
  anvil: Anvil,
  program: Program,
  world: { input: Json; names: Record<string, Hex>; onOutput?: (output: Output) => void },
): Promise<Run> {
  const names = { ...world.names }
  const scope = new Map<string, Json>(
    Object.entries(names).map(([name, address]) => [name, { address }]),
  )
  scope.set('input', world.input)
  const { onOutput = () => {} } = world
  const stdout = createOutput((text) => onOutput({ stream: 'stdout', text }))
  const stderr = createOutput((text) => onOutput({ stream: 'stderr', text }))
  let head = await readHead(anvil)
  /** Whether anything was changed since the newest block, which does not tell of it. */
  let isStale = false

  await mine(1n)
  for (const [i, step] of program.steps.entries()) {
    try {
      await perform(step)
    } catch (error) {
      throw toProgramError(error, `step ${i} (${step.kind})`)
    }
  }
  if (isStale) await mine(1n)
  const json = toResult(program.result ?? null, scope)
  return { json, stdout: stdout.text(), stderr: stderr.text(), head, names }

  async function perform(step: Step): Promise<void> {
    switch (step.kind) {
      case 'send':
      case 'deploy':
      case 'call':
        return pass(step)
      case 'fund':
        return change('anvil_setBalance', [at(step.account), word(step.wei)])
      case 'code':
        return change('anvil_setCode', [at(step.account), at(step.bytecode)])
      case 'store':
        return change('anvil_setStorageAt', [
          at(step.account),
          word(step.slot),
          word(step.word, 32),
        ])
      case 'mine':
        for (let i = 0; i < (step.blocks ?? 1); i++) await mine(BigInt(step.seconds ?? 1))
        return
      case 'read':
        scope.set(step.as, await read(step))
        return
      case 'print': {
        const line = at(step.text)
        const out = step.to === 'stderr' ? stderr : stdout
        out.add(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`)
      }
    }
  }

  async function pass(step: Message): Promise<void> {
    const { data, decode } = encode(step, scope)
    const request = {
      from: step.from === undefined ? zeroAddress : at(step.from),
      ...(step.kind === 'deploy' || step.to === undefined ? {} : { to: at(step.to) }),
      ...(step.value === undefined ? {} : { value: word(step.value) }),
      gas: step.gas === undefined ? numberToHex(GAS) : word(step.gas),
      gasPrice: '0x0',
      data,
    }
    const outcome = step.kind === 'call' ? await call(request) : await send(request)
    if (outcome.status === 'reverted' && step.mayRevert !== true)
      throw new MultiverseError('PROGRAM_ERROR', outcome.reason ?? 'reverted')
    const { status, reason, receipt } = outcome
    if (step.as === undefined) return
    const address = step.kind === 'deploy' ? (receipt?.contractAddress ?? null) : null
    if (address !== null) names[step.as] = address
    scope.set(step.as, {
      status,
      output: status === 'success' ? decode(outcome.data) : outcome.data,
      ...(reason === undefined ? {} : { reason }),
      ...(address === null ? {} : { address }),
      ...(receipt === undefined
        ? {}
        : { gasUsed: Number(receipt.gasUsed), logs: receipt.logs.map(toLog) }),
    })
  }

  async function call(request: object): Promise<Outcome> {
    try {
      const data = (await anvil.rpc('eth_call', [request, 'latest'])) as Hex
      return { status: 'success', data }
    } catch (error) {
      const { code, message, data } = failureOf(error)
      if (code !== REVERTED) throw halted(message.replace(/^EVM error /, ''))
      return { status: 'reverted', data: (data ?? '0x') as Hex, reason: revertReason(data) }
    }
  }

  async function send(request: object): Promise<Outcome> {
    await anvil.rpc('eth_sendTransaction', [request])
    const [block] = await mine(1n)
    const transaction = block?.transactions[0]
    if (transaction === undefined)
      throw new MultiverseError('PROGRAM_ERROR', 'the transaction fits in no block')
    const receipt = (await anvil.rpc('eth_getTransactionReceipt', [transaction.hash])) as Receipt
    const data = transaction.output ?? '0x'
    if (receipt.status === '0x1') return { status: 'success', data, receipt }
    const options = { tracer: 'callTracer', tracerConfig: { onlyTopCall: true } }
    const trace = (await anvil.rpc('debug_traceTransaction', [transaction.hash, options])) as {
      error?: string
    }
    if (trace.error !== 'execution reverted') throw halted(trace.error ?? 'it failed')
    return { status: 'reverted', data, reason: revertReason(data), receipt }
  }

  async function change(method: string, params: unknown[]): Promise<void> {
    await anvil.rpc(method, params)
    isStale = true
  }

  /** Makes a block `seconds` after the newest. */
  async function mine(seconds: bigint) {
    await anvil.rpc('evm_setNextBlockTimestamp', [numberToHex(head.timestamp + seconds)])
    const blocks = (await anvil.rpc('evm_mine_detailed')) as (Block & {
      transactions: { hash: Hex; output?: Hex }[]
    })[]
    const [block] = blocks
    if (block === undefined) throw new MultiverseError('PROVIDER_FAILED', 'anvil made no block')
    head = toHead(block)
    scope.set('head', {
      number: Number(head.number),
      timestamp: Number(head.timestamp),
      hash: head.hash,
      stateRoot: head.stateRoot,
    })
    isStale = false
    return blocks
  }

  async function read({ what, account, slot }: Extract<Step, { kind: 'read' }>): Promise<Json> {
    const address = at(account)
    const look = {
      balance: () => anvil.rpc('eth_getBalance', [address, 'latest']),
      nonce: () => anvil.rpc('eth_getTransactionCount', [address, 'latest']),
      code: () => anvil.rpc('eth_getCode', [address, 'latest']),
      storage: () => anvil.rpc('eth_getStorageAt', [address, word(slot ?? 0), 'latest']),
    }
    const found = (await look[what]()) as Hex
    return what === 'balance' || what === 'nonce' ? BigInt(found).toString() : found
  }

  function at(given: Json): Json {
    return resolve(given, scope)
  }

  function word(given: Json, size?: number): Hex {
    return numberToHex(toInteger(at(given)), size === undefined ? {} : { size })
  }
}

/** The newest block of an anvil. */
export async function readHead(anvil: Anvil): Promise<Head> {
  return toHead((await anvil.rpc('eth_getBlockByNumber', ['latest', false])) as Block)
}

function toHead({ number, timestamp, hash, stateRoot }: Block): Head {
  return { number: BigInt(number), timestamp: BigInt(timestamp), hash, stateRoot }
}

function toLog({ address, topics, data }: Log): Json {
  return { address, topics, data }
}

/** What a step sends, and how to read what comes back. */
function encode(step: Message, scope: Scope): { data: Hex; decode: (output: Hex) => Json } {
  const args = resolve(step.args ?? [], scope) as Json[]
  if (step.kind === 'deploy') {
    const inputs = toTypes(step.inputs ?? [])
    const tail = encodeAbiParameters(inputs, toAbi(inputs, args))
    return {
      data: `${resolve(step.bytecode, scope) as Hex}${tail.slice(2)}`,
      decode: (bytes) => bytes,
    }
  }
  const types = step.returns ?? []
  if (step.function === undefined) {
    const data = step.data === undefined ? '0x' : (resolve(step.data, scope) as Hex)
    return { data, decode: decoder(toTypes(types)) }
  }
  const signature: string = `function ${step.function.replace(/^function /, '')}`
  const item = parseAbiItem(signature) as AbiFunction
  const outputs = types.length === 0 ? item.outputs : toTypes(types)
  const data = encodeFunctionData({ abi: [item], args: toAbi(item.inputs, args) })
  return { data, decode: decoder(outputs) }
}

function toTypes(types: readonly string[]): readonly AbiParameter[] {
  const text: string = types.join(',')
  return text === '' ? [] : parseAbiParameters(text)
}

function decoder(types: readonly AbiParameter[]): (output: Hex) => Json {
  return (output) => {
    if (types.length === 0) return output
    let values: readonly unknown[]
    try {
      values = decodeAbiParameters(types, output)
    } catch (cause) {
      throw new MultiverseError('RESULT_INVALID', `what came back is not ${typesOf(types)}`, {
        cause,
      })
    }
    return types.length === 1 ? toJson(values[0]) : toJson(values)
  }
}

function typesOf(types: readonly AbiParameter[]): string {
  return types.map(({ type }) => type).join(', ')
}

function toResult(result: Json, scope: Scope): string {
  let json: string
  try {
    json = JSON.stringify(resolve(result, scope))
  } catch (error) {
    throw resultInvalid(`cannot be told: ${oneLine(error)}`, error)
  }
  if (Buffer.byteLength(json) > MAX_RESULT_BYTES)
    throw resultInvalid(`is longer than ${MAX_RESULT_BYTES} bytes of JSON`)
  return json
}

function failureOf(error: unknown): RpcFailure {
  if (isMultiverseError(error, 'EVM_FAILED')) return error.cause as RpcFailure
  throw error
}

/** The EVM stopped, for another reason than a revert. */
function halted(why: string): MultiverseError {
  return /memory limit|MemoryLimit/i.test(why)
    ? new MultiverseError('OUT_OF_MEMORY', `the program needs more memory: ${why}`)
    : new MultiverseError('PROGRAM_ERROR', `the EVM stopped: ${why}`)
}

function toProgramError(error: unknown, where: string): unknown {
  if (isMultiverseError(error)) {
    if (error.code === 'PROVIDER_FAILED') return error
    const code =
      error.code === 'OUT_OF_MEMORY' || error.code === 'RESULT_INVALID'
        ? error.code
        : 'PROGRAM_ERROR'
    return new MultiverseError(code, `${where}: ${oneLine(error)}`, { cause: error.cause })
  }
  // What viem says of arguments that do not fit.
  return new MultiverseError('PROGRAM_ERROR', `${where}: ${oneLine(error)}`, { cause: error })
}
