import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Address, type Hex, parseEther, zeroHash } from 'viem'
import { pigouSpec } from '../../cli/scenario/spec.ts'
import { worldsAbi } from '../../sdk/abi.ts'
import { approve, ask, mint, pushDown } from '../../sdk/actions.ts'
import { type Path, questionId } from '../../sdk/ids.ts'
import { parseSpec, specDataUri, type Spec } from '../../sdk/spec.ts'
import { encodeTerms } from '../../sdk/terms.ts'
import { type LocalChain, startChain } from '../helpers/chain.ts'
import { multiverse, type Ran } from './harness.ts'

/** Indices of the local chain's wallets. */
const WALLETS = { alice: 0, bob: 1, carol: 2, deployer: 8, keeper: 9 } as const
export type Wallet = keyof typeof WALLETS

/** A chain with a multiverse in it that every verb has something to do on. */
export type Fixture = {
  chain: LocalChain
  dataDir: string
  specPath: string
  address: (wallet: Wallet) => Address
  /** Alice's, pushed into by alice and carol, and reported on by the keeper. Another one has the same title. */
  split: Hex
  twin: Hex
  /** Bob's, which he can answer with nash. */
  answerable: Hex
  /** Carol's, which she can narrow. */
  narrowable: Hex
  /** A committee's, of whom carol is one. */
  votable: Hex
  /** The keeper's, whose deadline has passed. */
  late: Hex
  /** Has work done when it is the turn of the command line's wallet, whose transactions have to go one after another. */
  inTurn: <T>(line: string, work: () => Promise<T>) => Promise<T>
  /** Runs a command line on it, in turn. */
  run: (line: string, env?: Record<string, string>) => Promise<Ran>
  stop: () => Promise<void>
}

const WEEK_S = 604_800n

export async function startFixture(): Promise<Fixture> {
  const dataDir = await mkdtemp(join(tmpdir(), 'multiverse-cli-'))
  const chain = await startChain({ withOracles: true })
  const { deployment } = chain
  const { multiverse: ledger, worlds, token } = deployment.addresses
  const specPath = join(dataDir, 'spec.json')
  await writeFile(join(dataDir, 'deployment.json'), JSON.stringify(deployment))
  await writeFile(specPath, JSON.stringify(titled('A question of the test')))
  const of = (wallet: Wallet) => chain.wallet(WALLETS[wallet])
  const address = (wallet: Wallet) => chain.accounts[WALLETS[wallet]]!.address
  const now = (await chain.publicClient.getBlock()).timestamp

  const put = async (
    title: string,
    oracle: Wallet | 'committee',
    deadline = now + WEEK_S,
  ): Promise<Hex> => {
    const committee = encodeTerms('committee', { members: [address('carol')], threshold: 1n })
    const isCommittee = oracle === 'committee'
    const spec = { ...titled(title), ...(isCommittee ? { terms: committee.terms } : {}) }
    const { json, labels, specHash } = parseSpec(JSON.stringify(spec))
    const terms = {
      oracle: isCommittee ? deployment.addresses.committeeOracle! : address(oracle),
      outcomes: labels.length,
      deadline,
      specHash,
      termsHash: isCommittee ? committee.termsHash : zeroHash,
    }
    await ask(of('deployer'), { multiverse: ledger, uri: specDataUri(json), ...terms })
    return questionId(terms)
  }
  const split = await put('Which way?', 'alice')
  const twin = await put('which way', 'bob')
  const answerable = await put('Answer me', 'bob')
  const narrowable = await put('Narrow me', 'carol')
  const votable = await put('Vote for me', 'committee')
  const late = await put('Too late', 'keeper', now + 3600n)

  for (const wallet of ['alice', 'bob', 'carol'] as const) {
    const amount = parseEther('1000')
    await mint(of(wallet), { token, to: address(wallet), amount })
    await approve(of(wallet), { token, spender: ledger, amount })
    const path: Path = []
    await pushDown(of(wallet), {
      multiverse: ledger,
      path,
      question: split,
      token,
      amount: amount / 10n,
    })
  }
  const world = { stateRoot: `0x${'ab'.repeat(32)}`, cost: parseEther('0.75'), verdict: 1 } as const
  const hash = await of('keeper').writeContract({
    address: worlds,
    abi: worldsAbi,
    functionName: 'report',
    args: [
      [],
      split,
      [
        { ...world, trit: -1, probability: parseEther('0.45') },
        { ...world, trit: 0, probability: parseEther('0.35') },
        { ...world, trit: 1, probability: parseEther('0.2') },
        { stateRoot: zeroHash, cost: 0n, verdict: 0, trit: 0, probability: 0n },
      ],
    ],
  })
  await chain.publicClient.waitForTransactionReceipt({ hash })
  await chain.testClient.increaseTime({ seconds: 7200 })
  await chain.testClient.mine({ blocks: 1 })

  const lanes = new Map<string, Promise<unknown>>()
  const inTurn = <T>(line: string, work: () => Promise<T>): Promise<T> => {
    const lane = / --as (\w+)/.exec(line)?.[1]
    if (lane === undefined) return work()
    const result = (lanes.get(lane) ?? Promise.resolve()).then(work)
    lanes.set(
      lane,
      result.catch(() => {}),
    )
    return result
  }
  return {
    chain,
    dataDir,
    specPath,
    address,
    split,
    twin,
    answerable,
    narrowable,
    votable,
    late,
    inTurn,
    run: (line, env) =>
      inTurn(line, () =>
        multiverse([...line.split(' '), '--data', dataDir, '--rpc', chain.url], env),
      ),
    async stop() {
      await chain.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

function titled(title: string): Spec {
  return { ...pigouSpec({ degree: 2 }), title }
}
