import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Address } from 'viem'
import { MultiverseError } from '../sdk/errors.ts'
import type { Network } from '../sdk/networks.ts'
import type { PlannedContract } from './contracts.ts'

/** A place that checks sources against the chain and shows them. */
export type Service = 'sourcify' | 'etherscan'

/** What became of one contract's sources at one service. */
export type SourceVerification = {
  service: Service
  contract: string
  ok: boolean
  /** `verified`, `verified before`, or why not, on one line. */
  message: string
}

/** What the verifier's process is told. */
export type VerifyJob = {
  rpcUrl: string
  chainId: number
  title: string
  explorerUrl: string | null
  services: Service[]
  contracts: { name: string; source: string; address: Address; args: (string | number)[] }[]
}

type Options = {
  network: Network
  rpcUrl: string
  contracts: readonly PlannedContract[]
  signal: AbortSignal
  say: (line: string) => void
}

/**
 * Has the sources of contracts checked and published by Sourcify and, where ETHERSCAN_API_KEY is set, Etherscan. Done by
 * Hardhat's plugin in a process of its own, which talks to people where it should talk to us.
 * @throws VERIFY_FAILED when that process fails; what a service says is in the answers
 */
export function verifySources(options: Options): Promise<SourceVerification[]> {
  const { network, rpcUrl, contracts, signal, say } = options
  const hasEtherscan = (process.env['ETHERSCAN_API_KEY'] ?? '') !== ''
  const job: VerifyJob = {
    rpcUrl,
    chainId: network.chainId,
    title: network.title,
    explorerUrl: network.explorerUrl,
    services: hasEtherscan ? ['sourcify', 'etherscan'] : ['sourcify'],
    contracts: contracts.map(({ name, artifact, address, constructorArgs }) => ({
      name,
      source: artifact.sourceName,
      address,
      args: [...constructorArgs],
    })),
  }
  if (!hasEtherscan) say('Etherscan is left out: ETHERSCAN_API_KEY is not set')
  return new Promise((resolve, reject) => {
    const answers: SourceVerification[] = []
    let output = ''
    const child = fork(fileURLToPath(new URL('verifier.ts', import.meta.url)), {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      signal,
    })
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (output = `${output}${chunk.toString()}`.slice(-4_000)))
    child.on('message', (message) => answers.push(message as SourceVerification))
    child.on('error', (cause) => reject(failed(cause.message, cause)))
    child.on('close', (code) => {
      if (code === 0) resolve(answers)
      else reject(failed(lastLine(output) ?? `the verifier ended with code ${code}`))
    })
    child.send(job)
  })
}

function failed(reason: string, cause?: unknown): MultiverseError {
  return new MultiverseError('VERIFY_FAILED', reason, { cause })
}

function lastLine(output: string): string | undefined {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  return lines.find((line) => /error/i.test(line))?.trim() ?? lines.at(-1)?.trim()
}
