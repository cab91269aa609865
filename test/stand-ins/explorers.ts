// A stand-in for Sourcify (API v2) and Etherscan (API v2) on this machine: the same paths, fields, states and errors, as far
// as verifying a contract takes. It compiles what it is given with the real compiler and compares the result with the
// code on the chain, as they do. What it does not do: find a contract's creating transaction, show sources to people.
import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { type Address, concat, createPublicClient, http } from 'viem'
import { create2Address } from '../../deploy/proxy.ts'

/** A running pair of services. */
export type Explorers = {
  sourcifyUrl: string
  etherscanUrl: string
  /** What was asked, as `METHOD path`, oldest first. */
  requests: string[]
  /** How many compilations it took. */
  compilations: () => number
  /** Answers everything with this status and no sense from now on; 0 for as usual. */
  break: (status: number) => void
  stop: () => Promise<void>
}

type Options = { rpcUrl: string; chainId: number; apiKey: string }

type Verdict =
  | { kind: 'match' }
  | { kind: 'no-match' }
  | { kind: 'no-code' }
  | { kind: 'failed'; why: string }
type Job = { verdict: Verdict | null; startedAt: string; address: string }
type Compiled = {
  version: string
  contracts?: Record<string, Record<string, { evm: { bytecode: Code; deployedBytecode: Code } }>>
  errors?: { severity: string; formattedMessage: string }[]
}
type Code = {
  object: string
  immutableReferences?: Record<string, { start: number; length: number }[]>
}

export async function startExplorers({ rpcUrl, chainId, apiKey }: Options): Promise<Explorers> {
  const chain = createPublicClient({ transport: http(rpcUrl) })
  const requests: string[] = []
  const jobs = new Map<string, Job>()
  const verified = { sourcify: new Set<string>(), etherscan: new Set<string>() }
  const compiled = new Map<string, Promise<Compiled>>()
  let brokenStatus = 0

  const compile = (input: unknown) => {
    const key = createHash('sha256').update(JSON.stringify(input)).digest('hex')
    const found = compiled.get(key) ?? runCompiler(input)
    compiled.set(key, found)
    return found
  }

  /** Compiles and compares. `args` is checked where given: by the address, which it is part of. */
  const judge = async (
    input: unknown,
    identifier: string,
    compilerVersion: string,
    address: Address,
    args?: string,
  ): Promise<Verdict> => {
    const code = await chain.getCode({ address })
    if (code === undefined) return { kind: 'no-code' }
    const { version, contracts, errors } = await compile(input)
    if (!version.startsWith(compilerVersion.replace(/^v/, '')))
      return { kind: 'failed', why: `unsupported compiler version ${compilerVersion}` }
    const at = identifier.lastIndexOf(':')
    const output = contracts?.[identifier.slice(0, at)]?.[identifier.slice(at + 1)]
    if (output === undefined)
      return { kind: 'failed', why: errors?.[0]?.formattedMessage ?? `no ${identifier} in it` }
    const { bytecode, deployedBytecode } = output.evm
    if (
      masked(code.slice(2), deployedBytecode) !== masked(deployedBytecode.object, deployedBytecode)
    )
      return { kind: 'no-match' }
    const creation = concat([`0x${bytecode.object}`, `0x${args ?? ''}`])
    if (args !== undefined && create2Address(creation) !== address) return { kind: 'no-match' }
    return { kind: 'match' }
  }

  const begin = (address: string, judged: Promise<Verdict>, onMatch: () => void): string => {
    const id = randomUUID()
    const job: Job = { verdict: null, startedAt: new Date().toISOString(), address }
    jobs.set(id, job)
    judged.then(
      (verdict) => {
        if (verdict.kind === 'match') onMatch()
        job.verdict = verdict
      },
      (error: unknown) => (job.verdict = { kind: 'failed', why: String(error) }),
    )
    return id
  }

  const app = new Hono()
  app.use(async (context, next) => {
    requests.push(`${context.req.method} ${context.req.path}`)
    if (brokenStatus !== 0)
      return new Response('<html>Bad gateway</html>', { status: brokenStatus })
    await next()
    return undefined
  })

  // Sourcify, https://docs.sourcify.dev/docs/api/
  const failure = (customCode: string, message: string) => ({
    customCode,
    message,
    errorId: randomUUID(),
  })
  const sourcifyContract = (address: string) => {
    // Without a metadata hash in the code there is no exact match.
    const match = verified.sourcify.has(address.toLowerCase()) ? 'match' : null
    return { match, creationMatch: null, runtimeMatch: match, chainId: `${chainId}`, address }
  }
  app.get('/sourcify/v2/contract/:chain/:address', (context) => {
    const found = sourcifyContract(context.req.param('address'))
    return context.json(found, found.match === null ? 404 : 200)
  })
  app.post('/sourcify/v2/verify/:chain/:address', async (context) => {
    const { chain: asked, address } = context.req.param()
    if (asked !== `${chainId}`)
      return context.json(
        failure('unsupported_chain', `The chain with chainId ${asked} is not supported`),
        400,
      )
    if (verified.sourcify.has(address.toLowerCase()))
      return context.json(failure('already_verified', 'The contract is already verified'), 409)
    const { stdJsonInput, compilerVersion, contractIdentifier } = await context.req.json<{
      stdJsonInput?: unknown
      compilerVersion?: string
      contractIdentifier?: string
    }>()
    if (
      stdJsonInput === undefined ||
      compilerVersion === undefined ||
      contractIdentifier === undefined
    )
      return context.json(failure('invalid_parameter', 'A parameter is missing'), 400)
    const judged = judge(stdJsonInput, contractIdentifier, compilerVersion, address as Address)
    const verificationId = begin(address, judged, () =>
      verified.sourcify.add(address.toLowerCase()),
    )
    return context.json({ verificationId }, 202)
  })
  app.get('/sourcify/v2/verify/:id', (context) => {
    const verificationId = context.req.param('id')
    const job = jobs.get(verificationId)
    if (job === undefined) return context.json(failure('job_not_found', 'No such job'), 404)
    const common = {
      isJobCompleted: job.verdict !== null,
      verificationId,
      jobStartTime: job.startedAt,
      contract: sourcifyContract(job.address),
    }
    if (job.verdict === null) return context.json(common)
    const done = { ...common, jobFinishTime: new Date().toISOString() }
    if (job.verdict.kind === 'match') return context.json(done)
    return context.json({ ...done, error: sourcifyError(job.verdict) })
  })
  const sourcifyError = (verdict: Exclude<Verdict, { kind: 'match' }>) => {
    if (verdict.kind === 'no-code')
      return failure('contract_not_deployed', 'There is no bytecode at the address')
    if (verdict.kind === 'no-match')
      return failure('no_match', "The onchain and recompiled bytecodes don't match.")
    return failure('compiler_error', verdict.why)
  }

  // Etherscan, https://docs.etherscan.io/etherscan-v2
  const etherscan = (status: '0' | '1', result: unknown) => ({
    status,
    message: status === '1' ? 'OK' : 'NOTOK',
    result,
  })
  app.all('/etherscan/v2/api', async (context) => {
    const { apikey, chainid, action, address, guid } = context.req.query()
    if (apikey !== apiKey) return context.json(etherscan('0', 'Invalid API Key (#err2)'))
    if (chainid !== `${chainId}`)
      return context.json(etherscan('0', 'Missing or unsupported chainid parameter'))
    if (action === 'getsourcecode') {
      const isVerified = verified.etherscan.has(address!.toLowerCase())
      const ABI = isVerified ? '[]' : 'Contract source code not verified'
      return context.json(etherscan('1', [{ SourceCode: isVerified ? '{{}}' : '', ABI }]))
    }
    if (action === 'checkverifystatus') {
      const verdict = jobs.get(guid ?? '')?.verdict
      if (verdict === undefined) return context.json(etherscan('0', 'Invalid GUID'))
      if (verdict === null) return context.json(etherscan('0', 'Pending in queue'))
      return verdict.kind === 'match'
        ? context.json(etherscan('1', 'Pass - Verified'))
        : context.json(etherscan('0', 'Fail - Unable to verify'))
    }
    if (action !== 'verifysourcecode' || context.req.method !== 'POST')
      return context.json(etherscan('0', 'Error! Missing Or invalid Action name'))
    const form = await context.req.parseBody<Record<string, string>>()
    const at = form['contractaddress'] as Address
    if (verified.etherscan.has(at.toLowerCase()))
      return context.json(etherscan('0', 'Contract source code already verified'))
    if ((await chain.getCode({ address: at })) === undefined)
      return context.json(etherscan('0', `Unable to locate ContractCode at ${at}`))
    const judged = judge(
      JSON.parse(form['sourceCode']!),
      form['contractname']!,
      form['compilerversion']!,
      at,
      // Their own spelling of it, which they have kept.
      form['constructorArguements'] ?? form['constructorArguments'] ?? '',
    )
    return context.json(
      etherscan(
        '1',
        begin(at, judged, () => verified.etherscan.add(at.toLowerCase())),
      ),
    )
  })

  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
  await new Promise<void>((resolve) => server.once('listening', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    sourcifyUrl: `${origin}/sourcify`,
    etherscanUrl: `${origin}/etherscan/v2/api`,
    requests,
    compilations: () => compiled.size,
    break: (status) => (brokenStatus = status),
    async stop() {
      await Promise.allSettled(compiled.values())
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Code with its immutables' places emptied. */
function masked(code: string, { immutableReferences }: Code): string {
  const places = Object.values(immutableReferences ?? {}).flat()
  return places.reduce(
    (text, { start, length }) =>
      text.slice(0, start * 2) + '00'.repeat(length) + text.slice((start + length) * 2),
    code.toLowerCase(),
  )
}

/** One compilation in a process of its own. */
async function runCompiler(given: unknown): Promise<Compiled> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('solc.ts', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  // What to compile is the client's word, what comes out of it theirs.
  const { settings, ...rest } = given as { settings: object }
  const outputSelection = { '*': { '*': ['evm.bytecode', 'evm.deployedBytecode'] } }
  child.stdin.end(JSON.stringify({ ...rest, settings: { ...settings, outputSelection } }))
  const { version, output } = (await json(child.stdout)) as { version: string; output: string }
  return { version, ...(JSON.parse(output) as Omit<Compiled, 'version'>) }
}
